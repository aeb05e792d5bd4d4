package amqp

import (
	"encoding/binary"
	"fmt"
)

// ClassBasic is the only class whose methods carry content.
const ClassBasic = 60

// Header is a content header (spec section 4.2.6.1):
//
//	+-------+--------+-----------+----------------+------------+
//	| class | weight | body size | property flags | properties |
//	+-------+--------+-----------+----------------+------------+
//	 short   short    longlong    short            as flagged
type Header struct {
	Class      uint16
	Weight     uint16 // 0 says the specification; it is the session that insists.
	BodySize   uint64
	Flags      uint16 // Flag constants of the properties that are present.
	Properties []byte // Aliases the payload.
}

// ParseHeader reads the payload of a header frame. It does not look into the properties: see
// [ScanProperties] and [Properties.Decode]. The error wraps [ErrTruncated].
func ParseHeader(payload []byte) (Header, error) {
	const size = minHeaderSize + 2
	if len(payload) < size {
		return Header{}, fmt.Errorf("content header: %w", ErrTruncated)
	}
	be := binary.BigEndian
	return Header{
		Class:      be.Uint16(payload),
		Weight:     be.Uint16(payload[2:]),
		BodySize:   be.Uint64(payload[4:]),
		Flags:      be.Uint16(payload[minHeaderSize:]),
		Properties: payload[size:],
	}, nil
}

// knownFlags are the flags of all properties that basic has. Bit 0 would announce more flags, bit
// 1 has no meaning.
const knownFlags = 0xfffc

// Properties are the properties of a message (spec section 1.8.1). A property is present when its
// value is not the zero value, or when Flags names it; to take one away, undo both.
type Properties struct {
	Flags           uint16 // Properties that are present whatever their value; set by Decode.
	ContentType     string
	ContentEncoding string
	Headers         Table
	DeliveryMode    uint8 // 2 is persistent; everything else is transient.
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string // Milliseconds as a decimal number.
	MessageID       string
	Timestamp       uint64 // Seconds since 1970-01-01 UTC.
	Type            string
	UserID          string
	AppID           string
	ClusterID       string // Without a meaning in 0-9-1.
}

// Has reports whether a property is present; flag is one of the Flag constants.
func (p *Properties) Has(flag uint16) bool { return p.present()&flag != 0 }

// present returns the flags of the properties that are present.
func (p *Properties) present() uint16 {
	return p.Flags&knownFlags |
		when(p.ContentType != "", FlagContentType) |
		when(p.ContentEncoding != "", FlagContentEncoding) |
		when(len(p.Headers) > 0, FlagHeaders) |
		when(p.DeliveryMode != 0, FlagDeliveryMode) |
		when(p.Priority != 0, FlagPriority) |
		when(p.CorrelationID != "", FlagCorrelationID) |
		when(p.ReplyTo != "", FlagReplyTo) |
		when(p.Expiration != "", FlagExpiration) |
		when(p.MessageID != "", FlagMessageID) |
		when(p.Timestamp != 0, FlagTimestamp) |
		when(p.Type != "", FlagType) |
		when(p.UserID != "", FlagUserID) |
		when(p.AppID != "", FlagAppID) |
		when(p.ClusterID != "", FlagClusterID)
}

// when returns flag if b is true, else 0.
func when(b bool, flag uint16) uint16 {
	if b {
		return flag
	}
	return 0
}

// Decode sets the properties from the flags and the property list of a content header. Nothing
// aliases raw. Strings need not be UTF-8: like RabbitMQ we pass properties through. The error
// wraps [ErrTruncated], [ErrTrailing], [ErrPropertyFlags] or one of those of [DecodeTable].
func (p *Properties) Decode(flags uint16, raw []byte) error {
	r, err := readProperties(flags, raw)
	if err != nil {
		return err
	}
	*p = Properties{
		Flags:           flags,
		ContentType:     string(r.shortBytes(FlagContentType)),
		ContentEncoding: string(r.shortBytes(FlagContentEncoding)),
		Headers:         r.table(),
		DeliveryMode:    r.octet(FlagDeliveryMode),
		Priority:        r.octet(FlagPriority),
		CorrelationID:   string(r.shortBytes(FlagCorrelationID)),
		ReplyTo:         string(r.shortBytes(FlagReplyTo)),
		Expiration:      string(r.shortBytes(FlagExpiration)),
		MessageID:       string(r.shortBytes(FlagMessageID)),
		Timestamp:       r.timestamp(),
		Type:            string(r.shortBytes(FlagType)),
		UserID:          string(r.shortBytes(FlagUserID)),
		AppID:           string(r.shortBytes(FlagAppID)),
		ClusterID:       string(r.shortBytes(FlagClusterID)),
	}
	return r.finish()
}

// AppendHeader appends the whole frame of a content header with these properties. Strings longer
// than 255 bytes are cut, headers are written by [AppendTable]. The frame is not split: a header
// larger than the negotiated frame size is the caller's mistake.
func (p *Properties) AppendHeader(dst []byte, channel uint16, bodySize uint64) []byte {
	flags := p.present()
	dst, start := beginFrame(dst, FrameHeader, channel)
	dst = append(dst, 0, ClassBasic, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, bodySize)
	w := propertyWriter{flags: flags, dst: binary.BigEndian.AppendUint16(dst, flags)}
	w.shortstr(FlagContentType, p.ContentType)
	w.shortstr(FlagContentEncoding, p.ContentEncoding)
	if flags&FlagHeaders != 0 {
		w.dst = AppendTable(w.dst, p.Headers)
	}
	w.octet(FlagDeliveryMode, p.DeliveryMode)
	w.octet(FlagPriority, p.Priority)
	w.shortstr(FlagCorrelationID, p.CorrelationID)
	w.shortstr(FlagReplyTo, p.ReplyTo)
	w.shortstr(FlagExpiration, p.Expiration)
	w.shortstr(FlagMessageID, p.MessageID)
	if flags&FlagTimestamp != 0 {
		w.dst = binary.BigEndian.AppendUint64(w.dst, p.Timestamp)
	}
	w.shortstr(FlagType, p.Type)
	w.shortstr(FlagUserID, p.UserID)
	w.shortstr(FlagAppID, p.AppID)
	w.shortstr(FlagClusterID, p.ClusterID)
	return endFrame(w.dst, start)
}

// propertyWriter appends the properties that flags names.
type propertyWriter struct {
	flags uint16
	dst   []byte
}

func (w *propertyWriter) shortstr(flag uint16, s string) {
	if w.flags&flag != 0 {
		w.dst = appendShortString(w.dst, s)
	}
}

func (w *propertyWriter) octet(flag uint16, b uint8) {
	if w.flags&flag != 0 {
		w.dst = append(w.dst, b)
	}
}

// PropertyView is what routing and queueing need to know of the properties, found without
// decoding the rest. All slices alias the property list; those of absent properties are nil.
type PropertyView struct {
	Flags         uint16 // The properties that are present.
	Headers       RawTable
	DeliveryMode  uint8
	Priority      uint8
	CorrelationID []byte
	ReplyTo       []byte
	Expiration    []byte
	MessageID     []byte
	Timestamp     uint64
	UserID        []byte
}

// ScanProperties checks the whole property list of a content header, the structure of the headers
// included, and returns a view of it. It does not allocate. The error is that of
// [Properties.Decode].
func ScanProperties(flags uint16, raw []byte) (PropertyView, error) {
	if flags == 0 && len(raw) == 0 {
		return PropertyView{}, nil
	}
	r, err := readProperties(flags, raw)
	if err != nil {
		return PropertyView{}, err
	}
	view := PropertyView{Flags: flags}
	r.shortBytes(FlagContentType)
	r.shortBytes(FlagContentEncoding)
	view.Headers = r.rawTable()
	view.DeliveryMode = r.octet(FlagDeliveryMode)
	view.Priority = r.octet(FlagPriority)
	if r.flags&tailFlags != 0 {
		view.CorrelationID = r.shortBytes(FlagCorrelationID)
		view.ReplyTo = r.shortBytes(FlagReplyTo)
		view.Expiration = r.shortBytes(FlagExpiration)
		view.MessageID = r.shortBytes(FlagMessageID)
		view.Timestamp = r.timestamp()
		r.shortBytes(FlagType)
		view.UserID = r.shortBytes(FlagUserID)
		r.shortBytes(FlagAppID)
		r.shortBytes(FlagClusterID)
	}
	if err := r.finish(); err != nil {
		return PropertyView{}, err
	}
	return view, nil
}

// tailFlags are the properties after priority, which most messages do without.
const tailFlags = FlagPriority - 1

// propertyReader reads the properties that flags names and zero values for the others.
type propertyReader struct {
	flags uint16
	raw   reader
}

func readProperties(flags uint16, raw []byte) (propertyReader, error) {
	if flags&^knownFlags != 0 {
		return propertyReader{}, fmt.Errorf("%w: %#04x", ErrPropertyFlags, flags)
	}
	return propertyReader{flags: flags, raw: reader{b: raw}}, nil
}

func (r *propertyReader) shortBytes(flag uint16) []byte {
	if r.flags&flag == 0 {
		return nil
	}
	return r.raw.shortBytes()
}

func (r *propertyReader) octet(flag uint16) uint8 {
	if r.flags&flag == 0 {
		return 0
	}
	return r.raw.octet()
}

func (r *propertyReader) timestamp() uint64 {
	if r.flags&FlagTimestamp == 0 {
		return 0
	}
	return r.raw.longlong()
}

func (r *propertyReader) table() Table {
	if r.flags&FlagHeaders == 0 {
		return nil
	}
	return r.raw.table()
}

func (r *propertyReader) rawTable() RawTable {
	if r.flags&FlagHeaders == 0 {
		return nil
	}
	t := RawTable(r.raw.longstr())
	if err := t.Validate(); err != nil {
		r.raw.fail(err)
	}
	return t
}

// finish returns the first error of a read, or that something is left.
func (r *propertyReader) finish() error {
	if err := r.raw.finish(); err != nil {
		return fmt.Errorf("properties: %w", err)
	}
	return nil
}
