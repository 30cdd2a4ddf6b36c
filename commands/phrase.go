package commands

import (
	"crypto/rand"
	"math/big"
	"strings"
)

var (
	adjectives = strings.Fields(`Amber Ancient Autumn Bold Brave Bright Calm Careful Cheerful Clever Coastal Copper Cosy Crimson Curious
		Daring Dusty Eager Early Electric Emerald Fabled Famous Fearless Floating Fragrant Friendly Gentle Gilded Golden
		Graceful Hidden Honest Humble Icy Ivory Jolly Joyful Keen Kind Lively Lofty Lucky Lunar Marble Mellow Merry Misty
		Modest Mossy Musical Noble Northern Olive Patient Pearly Playful Polished Proud Quiet Radiant Rapid Rosy Royal`)
	nouns = strings.Fields(`acorn anchor apple arrow badger balloon beacon bell birch bridge brook candle canyon castle cedar
		cello cliff clover comet compass coral cottage crane daisy desert dolphin dragon eagle ember falcon feather fern
		forest fountain fox garden glacier harbour hawk heron island jasmine kettle lantern lark lemon lighthouse lily
		maple meadow melody mirror moon mountain oak ocean orchard otter owl paper pebble pepper pine`)
)

// phrase draws two words that show a person that a letter belongs to what they asked for. It keeps nothing secret.
func phrase() string { return pick(adjectives) + " " + pick(nouns) }

func pick(words []string) string {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	if err != nil {
		panic(err) // the system has no randomness
	}
	return words[n.Int64()]
}
