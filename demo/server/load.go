package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

// failure is one error of a client that does not try again.
type failure struct {
	Time  string `json:"time"`
	Kind  string `json:"kind"`
	Error string `json:"error"`
}

type summary struct {
	New      int `json:"new"`
	Held     int `json:"held"`
	Requests int `json:"requests"`
	Errors   int `json:"errors"`
}

type loader struct {
	target *url.URL
	lock   sync.Mutex
	out    *json.Encoder
	sum    summary
}

func (l *loader) done(kind string, err error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.sum.Requests++
	if err == nil {
		return
	}
	l.sum.Errors++
	_ = l.out.Encode(failure{Time: time.Now().UTC().Format(time.RFC3339Nano), Kind: kind, Error: err.Error()})
}

// fresh makes a connection for a single request.
func (l *loader) fresh() error {
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	response, err := client.Get(l.target.String())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}

// hold keeps one connection for the whole time and asks ten times a second; when it breaks it stays broken. A server may
// say that it closes it, as HTTP provides: then there is a next one.
func (l *loader) hold(until time.Time) {
	host := l.target.Host
	if l.target.Port() == "" {
		host = net.JoinHostPort(l.target.Hostname(), "80")
	}
	for again := true; again && time.Now().Before(until); {
		connection, err := net.DialTimeout("tcp", host, 5*time.Second)
		if err != nil {
			l.done("held", err)
			return
		}
		again = l.ask(connection, until)
		_ = connection.Close()
	}
}

// ask is true if the server said that it closes the connection.
func (l *loader) ask(connection net.Conn, until time.Time) bool {
	reader := bufio.NewReader(connection)
	for time.Now().Before(until) {
		closes := false
		_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
		request, _ := http.NewRequest(http.MethodGet, l.target.String(), nil)
		err := request.Write(connection)
		if err == nil {
			var response *http.Response
			if response, err = http.ReadResponse(reader, request); err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				closes = response.Close
				if err == nil && response.StatusCode != http.StatusOK {
					err = fmt.Errorf("status %s", response.Status)
				}
			}
		}
		l.done("held", err)
		if err != nil || closes {
			return err == nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

func load(arguments []string) error {
	if len(arguments) != 4 {
		return fmt.Errorf("four arguments: URL NEW HELD SECONDS")
	}
	target, err := url.Parse(arguments[0])
	if err != nil {
		return err
	}
	numbers := [3]int{}
	for index, text := range arguments[1:] {
		if numbers[index], err = strconv.Atoi(text); err != nil || numbers[index] < 0 || numbers[index] > 10_000 {
			return fmt.Errorf("%q is not a number from 0 to 10000", text)
		}
	}
	l := &loader{target: target, out: json.NewEncoder(os.Stdout)}
	l.sum.New, l.sum.Held = numbers[0], numbers[1]
	until := time.Now().Add(time.Duration(numbers[2]) * time.Second)
	var work sync.WaitGroup
	for range numbers[1] {
		work.Add(1)
		go func() { defer work.Done(); l.hold(until) }()
	}
	if numbers[0] > 0 {
		tick := time.NewTicker(time.Second / time.Duration(numbers[0]))
		for now := range tick.C {
			if now.After(until) {
				break
			}
			work.Add(1)
			go func() { defer work.Done(); l.done("new", l.fresh()) }()
		}
		tick.Stop()
	}
	work.Wait()
	return l.out.Encode(l.sum)
}
