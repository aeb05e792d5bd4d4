package auth

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/warrenmq/warren/amqp"
)

// ErrResponse is wrapped by every error about a SASL response. None of them repeats the response.
var ErrResponse = errors.New("invalid SASL response")

// ParsePlain reads the response of SASL PLAIN (RFC 4616): NUL, user, NUL, password. Like RabbitMQ
// it wants the authorization identity empty and nothing after the password. User and password may
// be empty; the login is what refuses that.
func ParsePlain(resp []byte) (user, pass string, err error) {
	if len(resp) == 0 {
		return "", "", fmt.Errorf("%w: PLAIN: it is empty", ErrResponse)
	}
	if resp[0] != 0 {
		return "", "", fmt.Errorf("%w: PLAIN: the authorization identity must be empty", ErrResponse)
	}
	name, secret, ok := bytes.Cut(resp[1:], []byte{0})
	if !ok {
		return "", "", fmt.Errorf("%w: PLAIN: no NUL between user and password", ErrResponse)
	}
	if bytes.IndexByte(secret, 0) >= 0 {
		return "", "", fmt.Errorf("%w: PLAIN: a NUL in or after the password", ErrResponse)
	}
	return limitLogin("PLAIN", string(name), string(secret))
}

// ParseAMQPlain reads the response of AMQPLAIN: an AMQP table, without the length before it, with
// the long strings LOGIN and PASSWORD. Other fields are overlooked, as RabbitMQ does.
func ParseAMQPlain(resp []byte) (user, pass string, err error) {
	fields, err := amqp.DecodeTable(resp)
	if err != nil {
		return "", "", fmt.Errorf("%w: AMQPLAIN: %w", ErrResponse, err)
	}
	var hasUser, hasPass bool
	for _, field := range fields {
		switch field.Key {
		case "LOGIN":
			user, hasUser = field.Value.(string)
		case "PASSWORD":
			pass, hasPass = field.Value.(string)
		}
	}
	if !hasUser || !hasPass {
		return "", "", fmt.Errorf("%w: AMQPLAIN: LOGIN and PASSWORD must be there and be long strings", ErrResponse)
	}
	return limitLogin("AMQPLAIN", user, pass)
}

func limitLogin(mechanism, user, pass string) (string, string, error) {
	if len(user) > MaxUserName {
		return "", "", fmt.Errorf("%w: %s: the user has %d bytes, the limit is %d", ErrResponse, mechanism, len(user), MaxUserName)
	}
	if len(pass) >= MaxKeyLength {
		return "", "", fmt.Errorf("%w: %s: the password has %d bytes, the limit is %d", ErrResponse, mechanism, len(pass), MaxKeyLength-1)
	}
	return user, pass, nil
}
