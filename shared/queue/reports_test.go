package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// reporting does a step of a report as a test says.
type reporting struct {
	work   func(connect.ReportJob) error
	giveUp func(why error) error
	asked  []connect.ReportJob
}

func (r *reporting) Work(_ context.Context, job connect.ReportJob) error {
	r.asked = append(r.asked, job)
	return r.work(job)
}

func (r *reporting) GiveUp(_ context.Context, _ connect.ReportJob, why error) error {
	return r.giveUp(why)
}

func reportBody(t *testing.T) string {
	t.Helper()
	w := newWorld(t)
	job := fullReport()
	job.Report.EnrolmentID = ""
	if err := w.jobs.Report(t.Context(), job, 0); err != nil {
		t.Fatal(err)
	}
	return w.received(w.now)[0]
}

// A step that fails, or panics, is given up or comes again soon; one that CloudFormation did not ask for is dropped, with a line that counts it
// and none that alarms.
func TestStepsOfReports(t *testing.T) {
	body := reportBody(t)
	refused := fmt.Errorf("answer: %w", connect.ErrAnswerRefused)
	for name, tt := range map[string]struct {
		work   func(connect.ReportJob) error
		giveUp func(error) error
		failed bool
		log    string
	}{
		"done":     {work: func(connect.ReportJob) error { return nil }, log: `"level":"INFO"`},
		"fails":    {work: func(connect.ReportJob) error { return errors.New("503") }, failed: true, log: `"level":"ERROR"`},
		"panics":   {work: func(connect.ReportJob) error { panic("x") }, failed: true, log: "panic"},
		"given up": {work: func(connect.ReportJob) error { return errors.New("503") }, giveUp: func(error) error { return nil }, log: `"level":"INFO"`},
		"refused":  {work: func(connect.ReportJob) error { return refused }, log: `"CallbacksDropped":1`},
	} {
		v, log := &verifications{}, &bytes.Buffer{}
		h := handler(v, log)
		if tt.giveUp == nil {
			tt.giveUp = func(why error) error { return why }
		}
		r := &reporting{work: tt.work, giveUp: tt.giveUp}
		h.Reports = r
		got := failures(t, h, batch(body))
		if (len(got) == 1) != tt.failed || !strings.Contains(log.String(), tt.log) || strings.Contains(log.String(), canary) {
			t.Errorf("%s: failed %v: %s", name, got, log)
		}
		if _, paused := v.pauses["handle-0"]; paused != tt.failed || (strings.Contains(log.String(), "ERROR") && !tt.failed) {
			t.Errorf("%s: paused %t: %s", name, paused, log)
		}
		if len(r.asked) != 1 || r.asked[0].Redelivered {
			t.Errorf("%s: asked %+v", name, r.asked)
		}
	}
}

// Reports of bound stacks are grouped by account and all others together, so that a flood delays its own group alone.
func TestGroupsOfReports(t *testing.T) {
	w := newWorld(t)
	bound, other := fullReport(), fullReport()
	bound.Report.EnrolmentID, other.Report.EnrolmentID, other.Bound = "", "", false
	for _, job := range []connect.ReportJob{bound, other} {
		if err := w.jobs.Report(t.Context(), job, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.jobs.Verify(t.Context(), connect.VerifyJob{ConnectionID: id(7), Run: 1}, time.Duration(0)); err != nil {
		t.Fatal(err)
	}
	got := w.groups(w.now)
	slices.Sort(got)
	if want := []string{"222222222222", string(id(7)), "unbound"}; !slices.Equal(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
}
