package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"rolecall/shared/connect"
)

// A Memory is a store in memory. It is safe for concurrent use, and each call takes effect at one instant.
type Memory struct {
	// IDPage is how many ids are on a page of what is due; 0 for 1,000. To be set before the store is used.
	IDPage int

	mu      sync.Mutex
	records map[key]any
	log     []key // events and notes, in the order in which they were written

	watched sync.Mutex // guards what is about calls; never held while one is made
	around  Hook
	once    map[string][]func()
	calls   map[string]int
}

// New is a Memory of these connections; see [Memory.Put].
func New(cs ...connect.Connection) *Memory {
	m := &Memory{records: map[key]any{}, once: map[string][]func(){}, calls: map[string]int{}}
	m.Put(cs...)
	return m
}

// A Hook stands around a call of the store. The operation is the method's name, such as "Commit"; call makes it take
// effect. A hook may do something first, not call at all, or lose what call has answered: an error of its own is what the
// caller hears. It may use the store itself, and it may panic, as a process dies.
type Hook func(op string, call func() error) error

// Around puts a hook around every call from now on; nil takes it away.
func (m *Memory) Around(h Hook) {
	m.watched.Lock()
	defer m.watched.Unlock()
	m.around = h
}

// Before does something before every call from now on; an error of it is what the caller hears, and nothing takes effect.
func (m *Memory) Before(do func(op string) error) {
	m.Around(func(op string, call func() error) error {
		if err := do(op); err != nil {
			return err
		}
		return call()
	})
}

// Once does something before the next call of the operation, such as what somebody else was quicker to do.
func (m *Memory) Once(op string, do func()) {
	m.watched.Lock()
	defer m.watched.Unlock()
	m.once[op] = append(m.once[op], do)
}

// Calls counts how often these operations were called, whatever came of it; all of them where none is named.
func (m *Memory) Calls(ops ...string) int {
	m.watched.Lock()
	defer m.watched.Unlock()
	n := 0
	for op, times := range m.calls {
		if len(ops) == 0 || slices.Contains(ops, op) {
			n += times
		}
	}
	return n
}

// called counts a call, and takes what is to be done before it.
func (m *Memory) called(op string) (first []func(), around Hook) {
	m.watched.Lock()
	defer m.watched.Unlock()
	m.calls[op]++
	first, around = m.once[op], m.around
	delete(m.once, op)
	return first, around
}

// ask makes a call that answers something: act runs at one instant, alone.
func ask[T any](ctx context.Context, m *Memory, op string, act func() (T, error)) (T, error) {
	var answer, none T
	call := func() (err error) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		answer, err = act()
		return err
	}
	first, around := m.called(op)
	for _, do := range first {
		do()
	}
	err := error(nil)
	if around != nil {
		err = around(op, call)
	} else {
		err = call()
	}
	if err != nil {
		return none, err
	}
	return answer, nil
}

// do makes a call that answers nothing.
func (m *Memory) do(ctx context.Context, op string, act func() error) error {
	_, err := ask(ctx, m, op, func() (struct{}, error) { return struct{}{}, act() })
	return err
}
