package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

type load struct {
	kind, address string
	connections   int
	duration      time.Duration
	rate          float64
	pids          []string
}

type result struct {
	Requests int     `json:"requests"`
	Errors   int     `json:"errors"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	CPU      float64 `json:"cpu_us"`
	// Of the first error.
	Error string `json:"error,omitempty"`
}

type worker struct {
	ask    func() error
	end    func()
	took   []time.Duration
	errors int
	err    error
}

// measure opens all connections and asks once on each before it begins.
func (load load) measure() (result, error) {
	workers := make([]worker, load.connections)
	failed := make([]error, load.connections)
	var opened sync.WaitGroup
	for i := range workers {
		opened.Go(func() {
			worker := &workers[i]
			if worker.ask, worker.end, failed[i] = dial(load.kind, load.address); failed[i] == nil {
				failed[i] = worker.ask()
			}
		})
	}
	opened.Wait()
	for _, err := range failed {
		if err != nil {
			return result{}, fmt.Errorf("%s %s: %w", load.kind, load.address, err)
		}
	}
	before, err := load.cpu()
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	var ended sync.WaitGroup
	for i := range workers {
		ended.Go(func() { load.work(&workers[i], i, start) })
	}
	time.Sleep(load.duration)
	after, err := load.cpu()
	if err != nil {
		return result{}, err
	}
	ended.Wait()
	all := result{Seconds: load.duration.Seconds(), CPU: after - before}
	var took []time.Duration
	for i := range workers {
		took = append(took, workers[i].took...)
		all.Errors += workers[i].errors
		if workers[i].err != nil && all.Error == "" {
			all.Error = workers[i].err.Error()
		}
		workers[i].end()
	}
	slices.Sort(took)
	all.Requests = len(took)
	if len(took) > 0 {
		at := func(q float64) float64 { return float64(took[int(float64(len(took)-1)*q)].Nanoseconds()) / 1000 }
		all.P50, all.P99 = at(0.5), at(0.99)
	}
	return all, nil
}

// work counts answers that came in time.
func (load load) work(worker *worker, index int, start time.Time) {
	deadline := start.Add(load.duration)
	for k := 0; ; k++ {
		due := time.Now()
		if load.rate > 0 {
			due = start.Add(time.Duration(float64(k*load.connections+index) / load.rate * float64(time.Second)))
			if due.After(deadline) {
				return
			}
			time.Sleep(time.Until(due))
		}
		if !due.Before(deadline) {
			return
		}
		err := worker.ask()
		if err != nil {
			worker.errors++
			if worker.err == nil {
				worker.err = err
			}
			if worker.reopen(load) != nil {
				return
			}
			continue
		}
		if now := time.Now(); load.rate > 0 || now.Before(deadline) {
			worker.took = append(worker.took, now.Sub(due))
		}
	}
}

func (worker *worker) reopen(load load) error {
	worker.end()
	ask, end, err := dial(load.kind, load.address)
	if err == nil {
		worker.ask, worker.end = ask, end
	}
	return err
}

// cpu is what the processes have taken so far, µs, all their threads.
func (load load) cpu() (float64, error) {
	var nanoseconds float64
	for _, pid := range load.pids {
		files, err := filepath.Glob("/proc/" + pid + "/task/*/schedstat")
		if err == nil && len(files) == 0 {
			err = fmt.Errorf("there is no process %s", pid)
		}
		if err != nil {
			return 0, err
		}
		for _, file := range files {
			// A thread may have ended meanwhile.
			text, _ := os.ReadFile(file)
			first, _, _ := strings.Cut(string(text), " ")
			if value, err := strconv.ParseFloat(first, 64); err == nil {
				nanoseconds += value
			}
		}
	}
	return nanoseconds / 1000, nil
}
