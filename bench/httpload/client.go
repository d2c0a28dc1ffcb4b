package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const timeout = 10 * time.Second

// dial opens one connection. It returns what asks once on it (an answer other than 200 is an error), and what ends it.
func dial(kind, address string) (ask func() error, end func(), err error) {
	switch kind {
	case "h1":
		connection, err := net.DialTimeout("tcp", address, timeout)
		if err != nil {
			return nil, nil, err
		}
		client := newHTTP1(connection)
		return func() error {
			status, err := client.get("/load")
			if err == nil && status != 200 {
				err = fmt.Errorf("status %d", status)
			}
			return err
		}, client.close, nil
	case "h2":
		return dialHTTP2(address)
	case "grpc":
		connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, nil, err
		}
		client := grpc_health_v1.NewHealthClient(connection)
		return func() error {
			_, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
			return err
		}, func() { _ = connection.Close() }, nil
	}
	return nil, nil, fmt.Errorf("there is no protocol %q", kind)
}

func dialHTTP2(address string) (func() error, func(), error) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/load", nil)
	if err != nil {
		return nil, nil, err
	}
	return func() error {
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err == nil && response.StatusCode != 200 {
			err = fmt.Errorf("status %d", response.StatusCode)
		}
		return err
	}, transport.CloseIdleConnections, nil
}

// http1 is HTTP/1.1 on one connection with as little work as possible: the client shares the machine with what it
// measures. Answers have a Content-Length or are chunked.
type http1 struct {
	connection net.Conn
	reader     *bufio.Reader
	request    []byte
}

func newHTTP1(connection net.Conn) *http1 {
	return &http1{connection: connection, reader: bufio.NewReaderSize(connection, 4096)}
}

func (client *http1) close() { _ = client.connection.Close() }

func (client *http1) get(path string) (int, error) {
	client.request = append(client.request[:0], "GET "...)
	client.request = append(client.request, path...)
	client.request = append(client.request, " HTTP/1.1\r\nHost: server\r\nUser-Agent: httpload\r\n\r\n"...)
	_ = client.connection.SetDeadline(time.Now().Add(timeout))
	if _, err := client.connection.Write(client.request); err != nil {
		return 0, err
	}
	line, err := client.reader.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, fmt.Errorf("the answer begins with %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, err
	}
	length, ends := -1, false
	for {
		if line, err = client.reader.ReadSlice('\n'); err != nil {
			return 0, err
		}
		name, value, found := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if !found {
			break
		}
		if bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
		ends = ends || bytes.EqualFold(name, []byte("connection")) && bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
	}
	if length < 0 {
		return 0, fmt.Errorf("the answer says no Content-Length")
	}
	if _, err = client.reader.Discard(length); err == nil && ends {
		err = fmt.Errorf("the connection is to end")
	}
	return status, err
}
