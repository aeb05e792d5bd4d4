package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/warrenmq/warren/amqp"
)

func TestParsePlain(t *testing.T) {
	long := strings.Repeat("u", MaxUserName)
	for _, tc := range []struct {
		resp, user, pass string
		ok               bool
	}{
		{"\x00guest\x00guest", "guest", "guest", true},
		{"\x00guest\x00", "guest", "", true},
		{"\x00\x00", "", "", true},
		{"\x00wäh\x00pass word", "wäh", "pass word", true},
		{"\x00" + long + "\x00p", long, "p", true},
		{"\x00" + long + "u\x00p", "", "", false},
		{"\x00u\x00" + strings.Repeat("p", MaxKeyLength), "", "", false},
		{"", "", "", false},
		{"\x00", "", "", false},
		{"\x00guest", "", "", false},
		{"guest\x00guest", "", "", false},
		{"admin\x00guest\x00guest", "", "", false},
		{"\x00guest\x00guest\x00", "", "", false},
		{"\x00guest\x00gue\x00st", "", "", false},
	} {
		user, pass, err := ParsePlain([]byte(tc.resp))
		if user != tc.user || pass != tc.pass || (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrResponse) {
			t.Errorf("ParsePlain(%.40q) = %q, %q, %v", tc.resp, user, pass, err)
		}
		if err != nil && strings.Contains(err.Error(), "guest") {
			t.Errorf("the error repeats the response: %v", err)
		}
	}
}

func TestParseAMQPlain(t *testing.T) {
	login := amqp.Field{Key: "LOGIN", Value: "guest"}
	password := amqp.Field{Key: "PASSWORD", Value: "secret"}
	for name, tc := range map[string]struct {
		table amqp.Table
		ok    bool
	}{
		"both":           {amqp.Table{login, password}, true},
		"other order":    {amqp.Table{password, login}, true},
		"one more":       {amqp.Table{login, password, {Key: "REALM", Value: int32(1)}}, true},
		"empty password": {amqp.Table{login, {Key: "PASSWORD", Value: ""}}, true},
		"no password":    {amqp.Table{login}, false},
		"no login":       {amqp.Table{password}, false},
		"lower case":     {amqp.Table{{Key: "login", Value: "guest"}, password}, false},
		"login a number": {amqp.Table{{Key: "LOGIN", Value: int32(1)}, password}, false},
		"login too long": {amqp.Table{{Key: "LOGIN", Value: strings.Repeat("u", MaxUserName+1)}, password}, false},
	} {
		t.Run(name, func(t *testing.T) {
			user, pass, err := ParseAMQPlain(amqp.AppendTable(nil, tc.table)[4:])
			switch {
			case !tc.ok && !errors.Is(err, ErrResponse):
				t.Errorf("ParseAMQPlain = %q, %q, %v", user, pass, err)
			case tc.ok && (err != nil || user != "guest" || pass != "secret" && name != "empty password"):
				t.Errorf("ParseAMQPlain = %q, %q, %v", user, pass, err)
			}
		})
	}
	if _, _, err := ParseAMQPlain([]byte("\x05LOGINS\x00\x00\xff")); !errors.Is(err, ErrResponse) {
		t.Errorf("a torn table: %v", err)
	}
}

func FuzzParsePlain(f *testing.F) {
	f.Add([]byte("\x00guest\x00guest"))
	f.Fuzz(func(t *testing.T, resp []byte) {
		user, pass, err := ParsePlain(resp)
		if err == nil && "\x00"+user+"\x00"+pass != string(resp) {
			t.Errorf("%q read as %q, %q", resp, user, pass)
		}
	})
}

func FuzzParseAMQPlain(f *testing.F) {
	f.Add(amqp.AppendTable(nil, amqp.Table{{Key: "LOGIN", Value: "guest"}, {Key: "PASSWORD", Value: "guest"}})[4:])
	f.Fuzz(func(t *testing.T, resp []byte) {
		user, pass, err := ParseAMQPlain(resp)
		if err != nil {
			return
		}
		if len(user) > MaxUserName || len(pass) >= MaxKeyLength || !strings.Contains(string(resp), user) || !strings.Contains(string(resp), pass) {
			t.Errorf("%q read as %q, %q", resp, user, pass)
		}
	})
}
