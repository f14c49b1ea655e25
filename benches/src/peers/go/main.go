// Spawns goroutines in an errgroup, or cancels parked ones; prints nanoseconds per goroutine.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

func spawnJoin(count int) time.Time {
	start := time.Now()
	var group errgroup.Group
	for i := 0; i < count; i++ {
		group.Go(func() error { return nil })
	}
	group.Wait()
	return start
}

func cancel(count int) time.Time {
	parent, stop := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(parent)
	var parked sync.WaitGroup
	parked.Add(count)
	for i := 0; i < count; i++ {
		group.Go(func() error {
			parked.Done()
			<-ctx.Done()
			return ctx.Err()
		})
	}
	parked.Wait()
	start := time.Now()
	stop()
	group.Wait()
	return start
}

func main() {
	work := map[string]func(int) time.Time{"spawn_join": spawnJoin, "cancel": cancel}[os.Args[1]]
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	start := work(count)
	fmt.Println(float64(time.Since(start).Nanoseconds()) / float64(count))
}
