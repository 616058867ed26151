// build: ! command -v go || GOCACHE=$PWD/.cache GOPATH=$PWD/.cache go build -gcflags="-N -l" -o target target.go
// Maps and interfaces with values of several types.
package main

import (
	"errors"
	"os"
)

type Shape interface{ Area() float64 }
type Circle struct{ Radius float64 }
type Square struct{ Side int }
type Angle int
type Drawing struct {
	Main  Shape
	Names map[string]int
}

func (c Circle) Area() float64  { return c.Radius }
func (s *Square) Area() float64 { return float64(s.Side) }
func (a Angle) Area() float64   { return float64(a) }

//go:noinline
func maps(few map[string]int, many map[[2]int]int, empty map[int]bool, null map[int]int) int {
	return len(few) + len(many) + len(empty) + len(null)
}

//go:noinline
func shapes(value, pointer, number, none Shape, err error) float64 {
	if err == nil || none != nil {
		return 0
	}
	return value.Area() + pointer.Area() + number.Area()
}

//go:noinline
func anything(number, text, list, value, pointer, none interface{}, drawing *Drawing) bool {
	return number == text || list == value || pointer == none || drawing == nil
}

func main() {
	few := map[string]int{"one": 1, "two": 2, "three": 3}
	delete(few, "two")
	many := map[[2]int]int{}
	for i := 0; i < 1000; i++ {
		many[[2]int{i, i}] = 7
	}
	n := maps(few, many, map[int]bool{}, nil)
	sum := shapes(Circle{2.5}, &Square{3}, Angle(4), nil, errors.New("bad"))
	drawing := Drawing{Circle{1.5}, map[string]int{"five": 5}}
	if n == 0 || sum == 0 || anything(-42, "text", []int{1, 2}, Circle{0.5}, &Square{6}, nil, &drawing) {
		os.Exit(1)
	}
}
