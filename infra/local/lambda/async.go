package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const (
	maxAge          = 6 * time.Hour
	firstSystemWait = time.Second
	lastSystemWait  = 5 * time.Minute
)

// An AsyncConfig says how a function's asynchronous events are tried, as AWS::Lambda::EventInvokeConfig does.
type AsyncConfig struct {
	MaximumRetryAttempts *int          // 0–2; nil means 2
	MaximumEventAge      time.Duration // 1 min – 6 h; 0 means 6 h
	OnSuccess            string        // ARN of a destination, or ""
	OnFailure            string
}

// ConfigureAsync sets how a function's asynchronous events are tried. InvalidParameterValueException where a value is
// out of range or the function's role may not send to a destination.
func (s *Service) ConfigureAsync(arn string, c AsyncConfig) error {
	p, err := s.pool(arn)
	if err != nil {
		return err
	}
	if n := c.MaximumRetryAttempts; n != nil && (*n < 0 || *n > 2) {
		return invalid("MaximumRetryAttempts must lie between 0 and 2")
	}
	if c.MaximumEventAge != 0 && (c.MaximumEventAge < time.Minute || c.MaximumEventAge > maxAge) {
		return invalid("MaximumEventAgeInSeconds must lie between 60 and 21600")
	}
	for _, destination := range []string{c.OnSuccess, c.OnFailure} {
		if destination == "" {
			continue
		}
		if err := s.permitDestination(p.definition().RoleARN, destination, "*"); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.async = c
	return nil
}

func (p *pool) asyncConfig() AsyncConfig {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.async
	if c.MaximumEventAge == 0 {
		c.MaximumEventAge = maxAge
	}
	if c.MaximumRetryAttempts == nil {
		two := 2
		c.MaximumRetryAttempts = &two
	}
	return c
}

// InvokeAsync accepts an event for a function and returns at once. A function error is retried twice, after 1 and 2
// minutes; a throttle for up to 6 hours. What is given up goes to the OnFailure destination and the dead letter queue.
// Errors: ResourceNotFoundException, RequestTooLargeException, InvalidRequestContentException.
func (s *Service) InvokeAsync(_ context.Context, arn string, payload []byte) error {
	p, err := s.pool(arn)
	if err != nil {
		return err
	}
	payload, err = acceptable(payload, maxAsyncPayload)
	if err != nil {
		return err
	}
	e := &asyncEvent{service: s, pool: p, arn: arn, payload: payload, accepted: s.cfg.Clock()}
	if !s.spawn(func() { e.run(s.ctx) }) {
		return errClosed
	}
	return nil
}

// An asyncEvent is an event that Lambda accepted and must see through.
type asyncEvent struct {
	service     *Service
	pool        *pool
	arn         string
	payload     []byte
	accepted    time.Time
	invocations int
	failures    int
	last        Result
	lastErr     error
}

func (e *asyncEvent) run(ctx context.Context) {
	systemWait := firstSystemWait
	for {
		e.last, e.lastErr = e.service.call(ctx, e.arn, e.payload)
		if ctx.Err() != nil {
			return
		}
		delay := systemWait
		if e.lastErr == nil {
			e.invocations++
			if e.last.FunctionError == "" {
				e.succeeded(ctx)
				return
			}
			e.failures++
			if e.failures > *e.pool.asyncConfig().MaximumRetryAttempts {
				e.giveUp(ctx, "RetriesExhausted")
				return
			}
			delay = e.service.asyncDelay(e.failures)
		} else {
			systemWait = min(2*systemWait, lastSystemWait)
		}
		if e.service.cfg.Clock().Add(delay).Sub(e.accepted) > e.pool.asyncConfig().MaximumEventAge {
			e.giveUp(ctx, "EventAgeExceeded")
			return
		}
		if !wait(ctx, delay) {
			return
		}
	}
}

// asyncDelay is the wait after the n-th failure.
func (s *Service) asyncDelay(n int) time.Duration {
	delays := s.cfg.AsyncDelays
	if len(delays) == 0 {
		return 0
	}
	return delays[min(n, len(delays))-1]
}

func (e *asyncEvent) succeeded(ctx context.Context) {
	if destination := e.pool.asyncConfig().OnSuccess; destination != "" {
		e.send(ctx, destination, "Success")
	}
}

func (e *asyncEvent) giveUp(ctx context.Context, condition string) {
	f := e.pool.definition()
	e.service.cfg.Log(f.Name, fmt.Sprintf("asynchronous event given up after %d invocations: %s", e.invocations, condition))
	if destination := e.pool.asyncConfig().OnFailure; destination != "" {
		e.send(ctx, destination, condition)
	}
	if f.DeadLetterARN == "" {
		return
	}
	code, message := "200", ""
	if err := e.last.Err(); err != nil {
		message = err.Error()
	}
	if e.lastErr != nil {
		code, message = "429", e.lastErr.Error()
	}
	e.service.deliver(ctx, Delivery{
		Function: f, Destination: f.DeadLetterARN, Body: e.payload, Payload: e.payload,
		Attributes: map[string]string{"RequestID": e.last.RequestID, "ErrorCode": code, "ErrorMessage": message},
	})
}

func (e *asyncEvent) send(ctx context.Context, destination, condition string) {
	s := e.service
	r := s.newRecord(e.arn+":$LATEST", condition, e.invocations, e.last)
	r.RequestPayload = e.payload
	if json.Valid(e.last.Payload) {
		r.ResponsePayload = e.last.Payload
	}
	body, err := json.Marshal(r)
	if err != nil {
		s.cfg.Log(e.pool.definition().Name, "event lost: "+err.Error())
		return
	}
	d := Delivery{Function: e.pool.definition(), Destination: destination, Body: body, Payload: e.payload}
	if arnService(destination) == "s3" {
		d.Key = objectKey("async/"+d.Function.Name, s.cfg.Clock())
	}
	s.deliver(ctx, d)
}
