// Command switcher is a guest that changes between goroutines in the midst of calls: the stack is unwound, and every
// function on it is entered again where it was left.
package main

import (
	"errors"
	"fmt"
	"runtime"
	"sort"
	"time"
)

func main() {}

// run returns a number that depends on every step of what it does n times.
//
//go:wasmexport run
func run(n int32) int32 {
	sum := uint32(17)
	add := func(v int) { sum = sum*31 + uint32(v) }
	for i := range int(n) {
		add(pipeline(i))
		add(nested(i, 5))
		add(recovered(i))
		add(sorted(i))
		time.Sleep(time.Microsecond)
		add(len(fmt.Sprintf("%d %x %q", i, i*i, "text")))
	}
	return int32(sum)
}

// pipeline sends numbers through three goroutines and channels without room.
func pipeline(n int) (sum int) {
	in, out := make(chan int), make(chan int)
	go func() {
		for i := range 20 {
			in <- i * n
		}
		close(in)
	}()
	go func() {
		for v := range in {
			if v%3 != 0 {
				out <- v
			}
		}
		close(out)
	}()
	for v := range out {
		sum += v
	}
	return sum
}

// nested yields in loops within loops, and deep down in calls.
func nested(n, depth int) (sum int) {
	for i := range 3 {
		for j := range depth {
			if (i+j+n)%4 == 0 {
				runtime.Gosched()
			}
			sum += i*j + n
		}
		if depth > 0 && i == n%3 {
			sum += nested(n+i, depth-1)
		}
	}
	return sum
}

var errOdd = errors.New("odd")

// recovered panics and goes on.
func recovered(n int) (v int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
			v = 1
		case runtime.Error:
			v = len(r.Error())
		case error:
			v = 2
		}
	}()
	if n%3 == 1 {
		panic(errOdd)
	}
	numbers := make([]int, n%5)
	for i := range 4 {
		runtime.Gosched()
		v += numbers[i]
	}
	return v
}

// sorted calls back from a loop of the library, and the callback yields.
func sorted(n int) int {
	s := make([]int, 30)
	for i := range s {
		s[i] = (i*7919 + n) % 31
	}
	sort.Slice(s, func(a, b int) bool {
		if s[a] == 5 {
			runtime.Gosched()
		}
		return s[a] < s[b]
	})
	return s[3]*100 + s[20]
}
