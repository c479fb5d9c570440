package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"rolecall/shared/connect"
)

// Places are given to the last one and no further, however many ask at once; when all are taken they are counted, by one
// of those who would, and found to be as many as connections are pending.
func TestPlacesAreShared(t *testing.T) {
	s, ctx := newStore(t), context.Background()
	var granted atomic.Int64
	race(40, func(int) {
		ok, err := s.TakePlaces(ctx, "acme", 5, 100)
		if err != nil {
			t.Error(err)
		}
		if ok {
			granted.Add(1)
		}
	})
	if granted.Load() != 20 {
		t.Errorf("%d blocks of 5 were granted of 100", granted.Load())
	}
	if ok, err := s.TakePlaces(ctx, "other", 5, 100); err != nil || !ok {
		t.Errorf("another tenant: %v %v", ok, err)
	}
	for i := range 3 {
		commit(t, s, create(t, "acme", fmt.Sprint("waits ", i)), nil)
	}
	commit(t, s, create(t, "other", "waits too"), nil)
	enabled(t, s, "acme", "serves", roleOne)
	var counted atomic.Int64
	race(10, func(int) {
		wait, err := s.RecountPlaces(ctx, "acme", noon, 30*time.Second)
		if err != nil {
			t.Error(err)
		}
		if wait == 0 {
			counted.Add(1)
		}
	})
	if counted.Load() != 1 {
		t.Errorf("counted %d times", counted.Load())
	}
	if ok, err := s.TakePlaces(ctx, "acme", 97, 100); err != nil || !ok {
		t.Errorf("97 beside 3: %v %v", ok, err)
	}
	if ok, err := s.TakePlaces(ctx, "acme", 1, 100); err != nil || ok {
		t.Errorf("one more than there are: %v %v", ok, err)
	}
	if wait, err := s.RecountPlaces(ctx, "acme", noon.Add(10*time.Second), 30*time.Second); err != nil || wait != 20*time.Second {
		t.Errorf("to wait %s, %v", wait, err)
	}
	if wait, err := s.RecountPlaces(ctx, "acme", noon.Add(30*time.Second), 30*time.Second); err != nil || wait != 0 {
		t.Errorf("to wait %s, %v", wait, err)
	}
}

// What is leased of one thing is not taken from another.
func TestLeasesOfDifferentThings(t *testing.T) {
	s := newStore(t)
	for _, of := range []connect.Rationed{connect.RationedCredentials, connect.RationedVerifications} {
		if ok, err := s.Lease(context.Background(), "acme", of, noon, 60, 60); err != nil || !ok {
			t.Errorf("%s: %v %v", of, ok, err)
		}
		if ok, err := s.Lease(context.Background(), "acme", of, noon, 1, 60); err != nil || ok {
			t.Errorf("more %s: %v %v", of, ok, err)
		}
	}
}
