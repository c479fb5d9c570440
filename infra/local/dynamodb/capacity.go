package dynamodb

import "math"

// Bytes per capacity unit.
const (
	readUnit  = 4096
	writeUnit = 1024
)

// A capacity counts the units that an operation took, of the table and of each index.
type capacity struct {
	table   float64
	indexes map[string]float64
}

func (c *capacity) addIndex(name string, units float64) {
	if c.indexes == nil {
		c.indexes = make(map[string]float64)
	}
	c.indexes[name] += units
}

func (c *capacity) add(other capacity) {
	c.table += other.table
	for name, units := range other.indexes {
		c.addIndex(name, units)
	}
}

func (c *capacity) total() float64 {
	total := c.table
	for _, units := range c.indexes {
		total += units
	}
	return total
}

// doubled is what the same costs inside a transaction.
func (c *capacity) doubled() capacity {
	result := capacity{table: 2 * c.table}
	for name, units := range c.indexes {
		result.addIndex(name, 2*units)
	}
	return result
}

// writeUnits is the price of turning one record into another, either of which may be nil: the larger size counts.
func writeUnits(old, next *record) float64 {
	size := max(recordSize(old), recordSize(next))
	return max(1, math.Ceil(float64(size)/writeUnit))
}

// readUnits is the price of reading size bytes; half when eventually consistent.
func readUnits(size int64, consistent bool) float64 {
	units := max(1, math.Ceil(float64(size)/readUnit))
	if consistent {
		return units
	}
	return units / 2
}

// consumed is a ConsumedCapacity of the protocol.
type consumed struct {
	TableName              string
	CapacityUnits          float64
	ReadCapacityUnits      float64               `json:",omitempty"`
	WriteCapacityUnits     float64               `json:",omitempty"`
	Table                  *consumedOf           `json:",omitempty"`
	GlobalSecondaryIndexes map[string]consumedOf `json:",omitempty"`
}

type consumedOf struct {
	CapacityUnits      float64
	ReadCapacityUnits  float64 `json:",omitempty"`
	WriteCapacityUnits float64 `json:",omitempty"`
}

// report shows used units as ReturnConsumedCapacity asks; nil for NONE.
func (c *capacity) report(level, table string) *consumed {
	if level != "TOTAL" && level != "INDEXES" {
		return nil
	}
	result := &consumed{TableName: table, CapacityUnits: c.total()}
	if level == "TOTAL" {
		return result
	}
	result.Table = &consumedOf{CapacityUnits: c.table}
	for name, units := range c.indexes {
		if result.GlobalSecondaryIndexes == nil {
			result.GlobalSecondaryIndexes = make(map[string]consumedOf)
		}
		result.GlobalSecondaryIndexes[name] = consumedOf{CapacityUnits: units}
	}
	return result
}

// asReads and asWrites name the units, as the reports of transactions do.
func (c *consumed) asReads() *consumed {
	c.ReadCapacityUnits = c.CapacityUnits
	if c.Table != nil {
		c.Table.ReadCapacityUnits = c.Table.CapacityUnits
	}
	return c
}

func (c *consumed) asWrites() *consumed {
	c.WriteCapacityUnits = c.CapacityUnits
	if c.Table != nil {
		c.Table.WriteCapacityUnits = c.Table.CapacityUnits
	}
	for name, of := range c.GlobalSecondaryIndexes {
		of.WriteCapacityUnits = of.CapacityUnits
		c.GlobalSecondaryIndexes[name] = of
	}
	return c
}
