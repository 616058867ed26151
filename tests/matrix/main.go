// The Go program of the matrix. Output goes to standard error.
package main

import "os"

type point struct {
	x, y int32
	ok   bool
}

type node struct {
	next *node
	name string
	at   point
	row  [3]int16
}

type speaker interface{ speak(volume int) int }

func (n *node) speak(volume int) int {
	loud := volume * int(n.at.x)
	sink += loud
	return loud + len(n.name)
}

var sink int

//go:noinline
func integers(a int8, b uint16, c int32, d uint64, e bool, f float32, g float64) int {
	sum := int(a) + int(b)
	sink += sum
	more := sum + int(c) + int(d)
	if e {
		more += int(f) + int(g)
	}
	sink += more
	return more
}

//go:noinline
func slices(numbers []int, text string, p point) int {
	total := int(p.y)
	for i, number := range numbers {
		total += number * i
		sink += total
	}
	return total + len(text)
}

//go:noinline
func walk(list *node, s speaker) int {
	depth := 0
	for n := list; n != nil; n = n.next {
		depth += int(n.at.x) + int(n.row[1])
		sink += depth
	}
	return depth + s.speak(depth)
}

func main() {
	second := &node{name: "second", at: point{11, 12, true}, row: [3]int16{1, -2, 3}}
	first := &node{next: second, name: "first", at: point{1, 2, false}}
	total := integers(-5, 60000, -70000, 1<<40, true, 1.5, 2.25)
	total += slices([]int{3, -4, 5}, "some text", first.at)
	total += walk(first, second)
	os.Stderr.WriteString("done\n")
	sink += total
}
