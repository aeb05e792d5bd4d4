package journal

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/warrenmq/warren/internal/vfs"
)

// TestFill: the last segment is in memory as it is in its file, whatever of it is zero, and behind what is said to
// be filled it is.
func TestFill(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{1, headerSize, fillStep - 1, fillStep, 5*fillStep + 7, 8 * fillStep} {
		for range 20 {
			content := make([]byte, size)
			for range random.IntN(4) { // stretches that are not zero, some at the bounds of a step
				from := random.Int64N(size)
				if random.IntN(2) == 0 {
					from -= from % fillStep
				}
				for i := range min(size-from, 1+random.Int64N(fillStep+2)) {
					content[from+i] = byte(random.IntN(3))
				}
			}
			fs := vfs.NewMem()
			if err := vfs.Write(fs, "segment", content); err != nil {
				t.Fatal(err)
			}
			file, err := fs.Open("segment")
			if err != nil {
				t.Fatal(err)
			}
			f := &found{segment: &segment{file: file, size: size}}
			if err := f.fill(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(f.data, content) {
				t.Fatalf("%d bytes: read otherwise than they were written", size)
			}
			if f.filled > size || len(bytes.Trim(content[f.filled:], "\x00")) > 0 {
				t.Fatalf("%d bytes: there is something behind %d", size, f.filled)
			}
			if used := int64(len(bytes.TrimRight(content, "\x00"))); f.filled > used+fillStep {
				t.Fatalf("%d bytes, %d used: %d are said to be filled", size, used, f.filled)
			}
		}
	}
}
