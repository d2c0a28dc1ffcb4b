package main

import (
	"bufio"
	"fmt"
	"net"
	"time"
)

func timeout(arguments []string) (string, time.Duration, error) {
	if len(arguments) == 0 {
		return "", 0, fmt.Errorf("an ADDRESS is missing, as 10.0.0.1:7000 or [fd00::1]:7000")
	}
	if len(arguments) == 1 {
		return arguments[0], 2 * time.Second, nil
	}
	limit, err := time.ParseDuration(arguments[1])
	return arguments[0], limit, err
}

func tcp(arguments []string) error {
	address, limit, err := timeout(arguments)
	if err != nil {
		return err
	}
	connection, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(limit))
	if _, err := fmt.Fprintln(connection, "hello"); err != nil {
		return err
	}
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return err
	}
	if line != "hello\n" {
		return fmt.Errorf("sent hello, got back %q", line)
	}
	fmt.Println("ok")
	return nil
}

func udp(arguments []string) error {
	address, limit, err := timeout(arguments)
	if err != nil {
		return err
	}
	connection, err := net.DialTimeout("udp", address, limit)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(limit))
	if _, err := fmt.Fprint(connection, "hello"); err != nil {
		return err
	}
	buffer := make([]byte, 2048)
	length, err := connection.Read(buffer)
	if err != nil {
		return err
	}
	fmt.Println(string(buffer[:length]))
	return nil
}
