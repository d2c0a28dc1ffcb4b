package main

import (
	"encoding/binary"
	"net/netip"
)

// Keys and values as datapath-native/bpf/layout.h has them (layout 1).
const (
	podSize         = 48
	maxPods         = 1024
	ingressEnforced = 1
)

// allows judges as policy.h does: the most specific entry, else what the set says of traffic that no rule names.
func (m maps) allows(pod, peer netip.Addr, port uint16) bool {
	set, known := m.setOf(pod)
	if !known {
		return false
	}
	if set == 0 {
		return true
	}
	key := make([]byte, 24)
	binary.NativeEndian.PutUint32(key, 160)
	binary.NativeEndian.PutUint64(key[4:], set)
	binary.NativeEndian.PutUint64(key[12:], m.classOf(peer))
	key[21] = 6 // TCP; ingress is 0
	binary.BigEndian.PutUint16(key[22:], port)
	value := make([]byte, 4)
	if m["policy"].lookup(key, value) {
		return value[0] == 1
	}
	return set&ingressEnforced == 0
}

func (m maps) setOf(pod netip.Addr) (uint64, bool) {
	address, slot, row := pod.As16(), make([]byte, 4), make([]byte, podSize)
	if !m["pod_by_addr"].lookup(address[:], slot) || !m["pods"].lookup(slot, row) {
		return 0, false
	}
	return binary.NativeEndian.Uint64(row), true
}

func (m maps) classOf(peer netip.Addr) uint64 {
	key, value, address := make([]byte, 20), make([]byte, 16), peer.As16()
	binary.NativeEndian.PutUint32(key, 128)
	copy(key[4:], address[:])
	if !m["addresses"].lookup(key, value) {
		return 0
	}
	return binary.NativeEndian.Uint64(value)
}

// pods counts those with a device and a policy.
func (m maps) pods() int {
	found, key, row := 0, make([]byte, 4), make([]byte, podSize)
	for slot := uint32(0); slot < maxPods; slot++ {
		binary.NativeEndian.PutUint32(key, slot)
		if !m["pods"].lookup(key, row) {
			break
		}
		if binary.NativeEndian.Uint64(row) != 0 && binary.NativeEndian.Uint32(row[12:]) != 0 {
			found++
		}
	}
	return found
}
