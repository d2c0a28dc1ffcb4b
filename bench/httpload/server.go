package main

import (
	"net"
	"net/http"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

var answer = []byte("hello, this is the server that the benchmark asks for a small answer\n")

func serve(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	next, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(number+1)))
	if err != nil {
		return err
	}
	first, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	grpcServer := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(grpcServer, health.NewServer())
	ended := make(chan error)
	go func() { ended <- grpcServer.Serve(next) }()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	httpServer := &http.Server{
		Protocols: protocols,
		Handler: http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
			_, _ = response.Write(answer)
		}),
	}
	go func() { ended <- httpServer.Serve(first) }()
	return <-ended
}
