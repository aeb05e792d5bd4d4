package cli

import "testing"

func TestPacePercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, paceMost}, {1 << 20, paceMost}, {8 << 20, 400}, {32 << 20, 100}, {40 << 20, 80}, {1 << 30, paceShare}, {1 << 40, paceShare},
	} {
		if got := pacePercent(c.live); got != c.want {
			t.Errorf("pacePercent(%d) = %d, want %d", c.live, got, c.want)
		}
	}
}
