package broker

import "testing"

func TestErlangFloat(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{"2.0": float32(2), "1.5": 1.5, "-0.25": -0.25, "1.0e22": 1e22, "0.0": 0.0} {
		if got := erlang(v); got != want {
			t.Errorf("erlang(%v) = %v, want %s", v, got, want)
		}
	}
	if got := erlang("2"); got != "2" {
		t.Errorf("a text became %v", got)
	}
}
