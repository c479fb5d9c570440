package dynamodb

import (
	"math/big"
	"strings"
)

// Bounds of DynamoDB's number type: 38 significant digits, magnitudes from 1E-130 to 9.9…E+125.
const (
	maxDigits   = 38
	maxExponent = 126  // of ±0.digits × 10^exponent
	minExponent = -129 // the same
)

const (
	errOverflow  = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	errUnderflow = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
	errPrecision = "Attempting to store more than 38 significant digits in a Number"
	errNumeric   = "The parameter cannot be converted to a numeric value"
)

// A number is ±0.digits × 10^exponent, with no zero at either end of digits; zero has no digits.
type number struct {
	negative bool
	digits   string
	exponent int
}

// parseNumber reads a decimal such as "-1.5e3"; a problem is answered in DynamoDB's words, "" means none.
func parseNumber(text string) (number, string) {
	if text == "" {
		return number{}, errNumeric
	}
	rest, negative := cutSign(text)
	mantissa, exponent, ok := cutExponent(rest)
	if !ok {
		return number{}, errNumeric + ": " + text
	}
	whole, fraction, dotted := strings.Cut(mantissa, ".")
	if whole+fraction == "" || !allDigits(whole) || !allDigits(fraction) || (dotted && fraction == "" && whole == "") {
		return number{}, errNumeric + ": " + text
	}
	n := normalise(negative, whole+fraction, len(whole)+exponent)
	return n, n.problem()
}

func cutSign(text string) (rest string, negative bool) {
	switch text[0] {
	case '-':
		return text[1:], true
	case '+':
		return text[1:], false
	}
	return text, false
}

// cutExponent splits "1.5e3"; an exponent beyond any legal number is clamped so that it costs nothing to hold.
func cutExponent(text string) (mantissa string, exponent int, ok bool) {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return text, 0, true
	}
	mantissa, digits := text[:at], text[at+1:]
	if digits == "" {
		return "", 0, false
	}
	digits, negative := cutSign(digits)
	if digits == "" || !allDigits(digits) {
		return "", 0, false
	}
	for _, c := range []byte(digits) {
		exponent = min(exponent*10+int(c-'0'), 1<<40)
	}
	if negative {
		exponent = -exponent
	}
	return mantissa, exponent, true
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

func normalise(negative bool, digits string, exponent int) number {
	trimmed := strings.TrimLeft(digits, "0")
	exponent -= len(digits) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		return number{}
	}
	return number{negative: negative, digits: trimmed, exponent: exponent}
}

func (n number) problem() string {
	switch {
	case n.digits == "":
		return ""
	case n.exponent > maxExponent:
		return errOverflow
	case n.exponent < minExponent:
		return errUnderflow
	case len(n.digits) > maxDigits:
		return errPrecision
	}
	return ""
}

// String writes the number without an exponent, as DynamoDB returns it.
func (n number) String() string {
	if n.digits == "" {
		return "0"
	}
	var b strings.Builder
	if n.negative {
		b.WriteByte('-')
	}
	switch {
	case n.exponent <= 0:
		b.WriteString("0." + strings.Repeat("0", -n.exponent) + n.digits)
	case n.exponent >= len(n.digits):
		b.WriteString(n.digits + strings.Repeat("0", n.exponent-len(n.digits)))
	default:
		b.WriteString(n.digits[:n.exponent] + "." + n.digits[n.exponent:])
	}
	return b.String()
}

// sortable encodes the number so that byte order is numeric order.
func (n number) sortable() string {
	if n.digits == "" {
		return "\x80"
	}
	shifted := n.exponent + 1<<12
	encoded := append([]byte{0x81, byte(shifted >> 8), byte(shifted)}, n.digits...) //nolint:gosec // the exponent is bounded, so 13 bits hold it
	if !n.negative {
		return string(encoded)
	}
	for i := range encoded {
		encoded[i] = ^encoded[i]
	}
	encoded[0] = 0x7f
	return string(append(encoded, 0xff)) // a negative number with more digits is the smaller one
}

// size is DynamoDB's storage size: one byte per two significant digits, one more, and one for a sign.
func (n number) size() int {
	size := 1 + (len(n.digits)+1)/2
	if n.negative {
		size++
	}
	return size
}

// addNumbers adds exactly and refuses what 38 digits cannot hold; DynamoDB calls that an overflow too.
func addNumbers(a, b number) (number, string) {
	low := min(a.exponent-len(a.digits), b.exponent-len(b.digits))
	sum := new(big.Int).Add(a.scaled(low), b.scaled(low))
	negative := sum.Sign() < 0
	digits := sum.Abs(sum).String()
	n := normalise(negative, digits, len(digits)+low)
	problem := n.problem()
	if problem == errPrecision {
		problem = errOverflow
	}
	return n, problem
}

// scaled is the number as an integer multiple of 10^low.
func (n number) scaled(low int) *big.Int {
	result := new(big.Int)
	if n.digits == "" {
		return result
	}
	zeros := n.exponent - len(n.digits) - low
	result.SetString(n.digits+strings.Repeat("0", zeros), 10)
	if n.negative {
		result.Neg(result)
	}
	return result
}

func (n number) negated() number {
	if n.digits != "" {
		n.negative = !n.negative
	}
	return n
}

func wholeNumber(n int) number {
	digits := big.NewInt(int64(n)).String()
	return normalise(false, digits, len(digits))
}
