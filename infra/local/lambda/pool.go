package lambda

import (
	"slices"
	"sync"
)

// A pool is a function with its environments.
type pool struct {
	service *Service

	mu          sync.Mutex
	function    Function
	async       AsyncConfig
	permissions []Permission
	generation  int            // counts definitions; environments of an earlier one are not used again
	retired     bool           // the function was deleted
	idle        []*environment // the one used last is last
	count       int            // environments idle, busy or starting
}

// A slot is the right to run one invocation: in a warm environment, or in one that is yet to start.
type slot struct {
	warm       *environment
	function   Function
	generation int
}

func (p *pool) definition() Function {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.function
}

// take reserves a slot or answers that the function is throttled.
func (p *pool) take() (slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := slot{function: p.function, generation: p.generation}
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		e := p.idle[last]
		p.idle = slices.Delete(p.idle, last, last+1)
		if e.fit(p.service.cfg.Clock()) {
			s.warm = e
			return s, nil
		}
		e.kill()
		p.count--
	}
	if p.retired || p.count >= p.limit() {
		return slot{}, throttled()
	}
	p.count++
	return s, nil
}

func (p *pool) limit() int {
	if p.function.ReservedConcurrency != nil {
		return *p.function.ReservedConcurrency
	}
	return p.service.cfg.MaxEnvironments
}

// run performs an invocation in its slot and gives the slot back.
func (p *pool) run(s slot, payload []byte) (Result, error) {
	inv := newInvocation(payload)
	e := s.warm
	if e == nil {
		started, result, err := p.service.start(s.function, inv.requestID)
		if err != nil || started == nil {
			p.discard(nil)
			return result, err
		}
		e = started
	}
	result, reusable := e.handle(inv)
	if !reusable {
		p.discard(e)
		return result, nil
	}
	p.put(e, s.generation)
	return result, nil
}

// put makes a used environment idle, or ends it where the function has changed meanwhile.
func (p *pool) put(e *environment, generation int) {
	p.mu.Lock()
	current := generation == p.generation && !p.retired
	if current {
		p.idle = append(p.idle, e)
	}
	p.mu.Unlock()
	if !current {
		p.discard(e)
	}
}

// discard ends an environment (nil where none came to be) and frees its place once the process is gone.
func (p *pool) discard(e *environment) {
	if e != nil {
		e.kill()
		<-e.gone
	}
	p.mu.Lock()
	p.count--
	p.mu.Unlock()
}

func (p *pool) replace(f Function) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.function = f
	p.generation++
	p.dropIdle()
}

func (p *pool) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	p.dropIdle()
}

func (p *pool) dropIdle() {
	for _, e := range p.idle {
		e.kill()
		p.count--
	}
	p.idle = nil
}
