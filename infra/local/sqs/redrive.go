package sqs

import (
	"slices"
	"strings"
	"time"
)

// moveTask is a finished StartMessageMoveTask: the pocket AWS moves at once, so there are no running ones.
type moveTask struct {
	handle      string
	destination string
	started     time.Time
	moved       int
}

// Redrive moves the messages of a dead-letter queue to destination, or back to where each came from if that is "". As in
// SQS they are new messages then, with new ids and counts. It answers how many it moved.
func (s *Service) Redrive(arn, destination string) (int, error) {
	task, err := s.redrive(arn, destination)
	return task.moved, err
}

func (s *Service) redrive(arn, destination string) (moveTask, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	source, err := s.find(arn)
	if err != nil {
		return moveTask{}, fail("ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	if !s.isDeadLetterQueue(arn) {
		return moveTask{}, fail("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
	}
	if _, exists := s.queues[destination]; destination != "" && !exists {
		return moveTask{}, fail("ResourceNotFoundException", "The resource that you specified for the DestinationArn parameter doesn't exist.")
	}
	now := s.clock()
	task := moveTask{handle: sealHandle(arn, newID(), destination), destination: destination, started: now}
	for _, m := range slices.Clone(source.messages) {
		target, exists := s.queues[first(destination, m.source)]
		if !exists || m.visibleAt.After(now) {
			continue // in flight, or from a queue that is gone: it stays a dead letter
		}
		source.remove(m)
		target.messages = append(target.messages, &message{
			id: newID(), body: m.body, attributes: m.attributes, sender: m.sender, trace: m.trace, group: m.group, sent: now, visibleAt: now,
		})
		target.sentBy(m.group, now)
		target.signal()
		task.moved++
	}
	source.tasks = append(source.tasks, task)
	return task, nil
}

func (s *Service) isDeadLetterQueue(arn string) bool {
	for _, q := range s.queues {
		if q.settings.deadLetter == arn {
			return true
		}
	}
	return false
}

func first(values ...string) string {
	at := slices.IndexFunc(values, func(v string) bool { return v != "" })
	if at < 0 {
		return ""
	}
	return values[at]
}

// nameAt reads account and name from the end of a queue URL; its host and scheme are of no interest.
func nameAt(url string) (account, name string, ok bool) {
	parts := strings.Split(strings.TrimRight(url, "/"), "/")
	if len(parts) < 2 {
		return "", "", false
	}
	account, name = parts[len(parts)-2], parts[len(parts)-1]
	return account, name, account != "" && name != ""
}
