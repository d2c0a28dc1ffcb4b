package main

import (
	"runtime"
	"syscall"
	"unsafe"
)

// Numbers of linux/bpf.h and the system call's own; the fields that are used come first in the kernel's union bpf_attr.
const (
	mapLookup  = 1
	mapNextKey = 4
	objGet     = 7
	readOnly   = 1 << 3 // BPF_F_RDONLY
)

type fd int

func bpf(command uintptr, attributes unsafe.Pointer, size uintptr) (uintptr, error) {
	result, _, errno := syscall.Syscall(sysBPF, command, uintptr(attributes), size)
	if errno != 0 {
		return 0, errno
	}
	return result, nil
}

func openPinned(path string) (fd, error) {
	text, err := syscall.BytePtrFromString(path)
	if err != nil {
		return 0, err
	}
	attributes := struct {
		path  uint64
		fd    uint32
		flags uint32
	}{uint64(uintptr(unsafe.Pointer(text))), 0, readOnly}
	result, err := bpf(objGet, unsafe.Pointer(&attributes), unsafe.Sizeof(attributes))
	runtime.KeepAlive(text)
	return fd(result), err
}

func (f fd) close() { _ = syscall.Close(int(f)) }

type element struct {
	map_  uint32
	_     uint32
	key   uint64
	value uint64
	flags uint64
}

func (f fd) call(command uintptr, key, value []byte) bool {
	// The kernel is told addresses as numbers: what they point to must not move.
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(&value[0])
	attributes := element{map_: uint32(f), value: uint64(uintptr(unsafe.Pointer(&value[0])))}
	if key != nil {
		pins.Pin(&key[0])
		attributes.key = uint64(uintptr(unsafe.Pointer(&key[0])))
	}
	_, err := bpf(command, unsafe.Pointer(&attributes), unsafe.Sizeof(attributes))
	return err == nil
}

func (f fd) lookup(key, value []byte) bool { return f.call(mapLookup, key, value) }

// atLeast says whether the map holds that many entries.
func (f fd) atLeast(keySize, wanted int) bool {
	var key []byte
	for found := 0; found < wanted; found++ {
		next := make([]byte, keySize)
		if !f.call(mapNextKey, key, next) {
			return false
		}
		key = next
	}
	return true
}

func monotonic() int64 {
	var now syscall.Timespec
	// CLOCK_MONOTONIC is 1, and the clock of Node's process.hrtime as well.
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}
