// Goroutines with growing stacks, maps, channels, defers and panics until the file given exists; every round must yield
// the same.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
)

type item struct {
	Name  string
	Value int
}

//go:noinline
func deep(n int, room [64]byte) int {
	if n == 0 {
		return int(room[3])
	}
	room[n%64]++
	return deep(n-1, room) + 1
}

//go:noinline
func caught(n int) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	panic(fmt.Sprintf("bottom %d", n))
}

//go:noinline
func work(number int) string {
	seen := map[string]int{}
	for k := 0; k < 200; k++ {
		seen[fmt.Sprintf("%x", k*number%61)] += k
	}
	items := make([]item, 0, len(seen))
	for name, value := range seen {
		items = append(items, item{name, value})
	}
	sort.Slice(items, func(a, b int) bool { return items[a].Name < items[b].Name })
	text, _ := json.Marshal(items)
	results := make(chan int)
	for k := 0; k < 8; k++ {
		go func(k int) { results <- deep(k*40, [64]byte{}) }(k)
	}
	total := 0
	for k := 0; k < 8; k++ {
		total += <-results
	}
	return fmt.Sprintf("%x %d %s %s", sha256.Sum256(text), total, caught(number), strings.Repeat("ab", number))
}

func main() {
	var all sync.WaitGroup
	for number := 1; number <= 4; number++ {
		all.Add(1)
		go func(number int) {
			defer all.Done()
			first := work(number)
			for {
				if _, err := os.Stat(os.Args[1]); err == nil {
					return
				}
				if work(number) != first {
					os.Exit(3)
				}
			}
		}(number)
	}
	fmt.Println("ready")
	all.Wait()
	fmt.Println("right")
}
