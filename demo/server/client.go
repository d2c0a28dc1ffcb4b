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

// once makes a command of an exchange: it prints what came back.
func once(ask func(string, time.Duration) (string, error)) func([]string) error {
	return func(arguments []string) error {
		address, limit, err := timeout(arguments)
		if err != nil {
			return err
		}
		answer, err := ask(address, limit)
		if err != nil {
			return err
		}
		fmt.Println(answer)
		return nil
	}
}

func askTCP(address string, limit time.Duration) (string, error) {
	connection, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(limit))
	if _, err := fmt.Fprintln(connection, "hello"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return "", err
	}
	if line != "hello\n" {
		return "", fmt.Errorf("sent hello, got back %q", line)
	}
	return "ok", nil
}

func askUDP(address string, limit time.Duration) (string, error) {
	connection, err := net.DialTimeout("udp", address, limit)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(limit))
	if _, err := fmt.Fprint(connection, "hello"); err != nil {
		return "", err
	}
	buffer := make([]byte, 2048)
	length, err := connection.Read(buffer)
	if err != nil {
		return "", err
	}
	return string(buffer[:length]), nil
}
