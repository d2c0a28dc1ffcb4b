package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// answer says who served and who asked, so that tests can tell backends and see the client's address.
type answer struct {
	Pod    string `json:"pod"`
	App    string `json:"app"`
	Client string `json:"client"`
	Path   string `json:"path"`
	// The request line as it came in here.
	Method string `json:"method"`
	URI    string `json:"uri"`
	Host   string `json:"host"`
}

func serve([]string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	server := &http.Server{Addr: ":80", Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 3)
	go func() { failed <- server.ListenAndServe() }()
	go func() { failed <- echoTCP(":7000") }()
	go func() { failed <- echoUDP(":7001") }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		// Services learn a moment later that this pod goes: serve them until they do.
		time.Sleep(time.Second)
		closing, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := server.Shutdown(closing); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	}
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		name, _ := os.Hostname()
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		_ = json.NewEncoder(w).Encode(answer{Pod: name, App: os.Getenv("APP"), Client: client, Path: r.URL.Path, Method: r.Method, URI: r.RequestURI, Host: r.Host})
	})
	return mux
}

func echoTCP(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			_, _ = io.Copy(connection, connection)
		}()
	}
}

// echoUDP answers with the datagram and the client's address as it was seen here.
func echoUDP(address string) error {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	buffer := make([]byte, 65536)
	for {
		length, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return err
		}
		_, _ = socket.WriteTo(append(buffer[:length:length], []byte(" from "+from.String())...), from)
	}
}
