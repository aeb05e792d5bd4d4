package broker

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/warrenmq/warren/amqp"
)

// ParseExpiration reads the expiration property: for how many milliseconds a
// message may wait, at most ten years. The error is the channel's, in
// RabbitMQ's words.
func ParseExpiration(s string) (int64, *amqp.Error) {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil && n <= maxMillis {
		return int64(n), nil
	}
	digits := strings.TrimLeft(s, "+-")
	number := len(s) - len(strings.TrimLeft(digits, "0123456789")) // sign and digits
	var reason string
	switch n, ok := new(big.Int).SetString(s[:number], 10); {
	case !ok:
		reason = "no_integer"
	case number < len(s):
		reason = fmt.Sprintf("{leftover_string,%s}", strconv.Quote(s[number:]))
	case n.Sign() < 0:
		reason = fmt.Sprintf("{value_negative,%v}", n)
	case n.Cmp(big.NewInt(maxMillis)) > 0:
		reason = fmt.Sprintf("{value_too_large,%v}", n)
	default: // a sign before a good number
		return n.Int64(), nil
	}
	return 0, amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid expiration '%s': %s", s, reason)
}
