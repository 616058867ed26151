// build: ! command -v go || GOCACHE=$PWD/.cache GOPATH=$PWD/.cache go build -o target target.go
// Goroutines that call deep, each on a small stack of its own, which has to be moved several times on the way down.
package main

//go:noinline
func deep(n int, room [100]byte) int {
	if n == 0 {
		return int(room[7])
	}
	room[n%100]++
	return deep(n-1, room) + 1
}

func main() {
	const count, depth = 5, 40
	done := make(chan int)
	for i := 0; i < count; i++ {
		go func() { done <- deep(depth, [100]byte{}) }()
	}
	for i := 0; i < count; i++ {
		<-done
	}
}
