package useragent

import (
	"strings"

	mileusna "github.com/mileusna/useragent"
)

// brands is by how the model begins in an Android header.
var brands = []struct{ prefix, brand string }{
	{"SM-", "Samsung"},
	{"GT-", "Samsung"},
	{"Pixel", "Google"},
	{"Redmi", "Xiaomi"},
	{"Mi ", "Xiaomi"},
	{"POCO", "Xiaomi"},
	{"moto ", "Motorola"},
	{"ONEPLUS ", "OnePlus"},
	{"CPH", "OPPO"},
	{"RMX", "Realme"},
	{"HUAWEI ", "Huawei"},
	{"Nokia ", "Nokia"},
	{"XQ-", "Sony"},
	{"LM-", "LG"},
	{"Lenovo ", "Lenovo"},
}

// galaxies is what Samsung's model numbers are called in shops, without the letters for region and carrier.
var galaxies = map[string]string{
	"SM-A536": "Galaxy A53 5G",
	"SM-A546": "Galaxy A54 5G",
	"SM-G991": "Galaxy S21 5G",
	"SM-G996": "Galaxy S21+ 5G",
	"SM-G998": "Galaxy S21 Ultra 5G",
	"SM-S901": "Galaxy S22",
	"SM-S906": "Galaxy S22+",
	"SM-S908": "Galaxy S22 Ultra",
	"SM-S911": "Galaxy S23",
	"SM-S916": "Galaxy S23+",
	"SM-S918": "Galaxy S23 Ultra",
	"SM-S921": "Galaxy S24",
	"SM-S926": "Galaxy S24+",
	"SM-S928": "Galaxy S24 Ultra",
	"SM-S931": "Galaxy S25",
	"SM-S936": "Galaxy S25+",
	"SM-S938": "Galaxy S25 Ultra",
	"SM-X706": "Galaxy Tab S8 5G",
	"SM-X806": "Galaxy Tab S8+ 5G",
	"SM-X906": "Galaxy Tab S8 Ultra 5G",
}

// setDevice comes after setSystem, which knows the desktops.
func setDevice(c *Client, ua string, parsed mileusna.UserAgent) {
	switch c.OSCode {
	case mac.code:
		c.DeviceBrand = "Apple"
	case ios.code, iPadOS.code:
		c.DeviceBrand, c.DeviceModel = "Apple", parsed.Device
		c.DeviceName = "smartphone"
		if parsed.Device == "iPad" {
			c.DeviceName = "tablet"
		}
	case android.code:
		c.DeviceName = androidKind(ua)
		c.DeviceBrand, c.DeviceModel = androidModel(parsed.Device)
	case "TIZ", "WOS":
		c.DeviceName = "tv"
	}
}

func androidKind(ua string) string {
	switch {
	case strings.Contains(ua, "Android TV"), strings.Contains(ua, "BRAVIA"):
		return "tv"
	case strings.Contains(ua, "Tablet"):
		return "tablet"
	case strings.Contains(ua, "Mobile"), strings.Contains(ua, "Opera Mini"):
		return "smartphone"
	case strings.Contains(ua, "Chrome/"): // Chrome says Mobile on phones only
		return "tablet"
	}
	return ""
}

// androidModel gives both or neither: without a known brand the text may be anything, and since 2023 Chrome says "K" for
// every device.
func androidModel(device string) (brand, model string) {
	device = strings.TrimPrefix(device, "SAMSUNG ")
	if !plain(device) {
		return "", ""
	}
	for _, b := range brands {
		if !strings.HasPrefix(device, b.prefix) {
			continue
		}
		if len(device) >= len("SM-S918") {
			if name, ok := galaxies[device[:len("SM-S918")]]; ok {
				return b.brand, name
			}
		}
		if worded := strings.TrimSpace(b.prefix); strings.EqualFold(worded, b.brand) { // "Nokia 7.2": Nokia, 7.2
			device = strings.TrimSpace(device[len(worded):])
		}
		return b.brand, device
	}
	return "", ""
}

// maxModel is the length of a model that is still believed, in bytes.
const maxModel = 40

// plain says that s is fit to be stored and shown: the one text that is taken from a header as it is.
func plain(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(" -_+.()", c) >= 0:
		default:
			return false
		}
	}
	return len(s) <= maxModel
}
