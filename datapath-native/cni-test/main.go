// Drives a CNI plugin as a container runtime does, through libcni.
//
//	cni-test COMMAND CONFLIST BIN_DIR CACHE_DIR [CONTAINER_ID NETNS | VALID_CONTAINER_ID...]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

const ifName = "eth0"

func main() {
	if len(os.Args) < 5 {
		fail(errors.New("usage: cni-test COMMAND CONFLIST BIN_DIR CACHE_DIR [CONTAINER_ID NETNS | VALID_CONTAINER_ID...]"))
	}
	command, conflist, binDir, cacheDir, rest := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]
	list, err := libcni.ConfListFromFile(conflist)
	if err != nil {
		fail(err)
	}
	cni := libcni.NewCNIConfigWithCacheDir([]string{binDir}, cacheDir, nil)
	if err := run(context.Background(), cni, list, command, rest); err != nil {
		fail(err)
	}
}

func run(ctx context.Context, cni *libcni.CNIConfig, list *libcni.NetworkConfigList, command string, rest []string) error {
	switch command {
	case "STATUS":
		return cni.GetStatusNetworkList(ctx, list)
	case "GC":
		args := &libcni.GCArgs{}
		for _, id := range rest {
			args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: id, IfName: ifName})
		}
		return cni.GCNetworkList(ctx, list, args)
	}
	if len(rest) != 2 {
		return fmt.Errorf("%s needs CONTAINER_ID and NETNS", command)
	}
	runtime := &libcni.RuntimeConf{ContainerID: rest[0], NetNS: rest[1], IfName: ifName}
	switch command {
	case "ADD":
		result, err := cni.AddNetworkList(ctx, list, runtime)
		if err != nil {
			return err
		}
		return result.Print()
	case "CHECK":
		return cni.CheckNetworkList(ctx, list, runtime)
	case "DEL":
		return cni.DelNetworkList(ctx, list, runtime)
	}
	return fmt.Errorf("unknown command %s", command)
}

func fail(err error) {
	var cniError *types.Error
	if errors.As(err, &cniError) {
		_ = json.NewEncoder(os.Stdout).Encode(cniError)
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}
