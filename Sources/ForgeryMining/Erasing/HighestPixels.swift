/// Marks the `count` highest values, without sorting: of equal values those with the lower index,
/// NaN below everything. Radix selection on the bits of the values, three passes of 11, 11 and 10
/// bits, then one pass that marks.
///
/// - Parameters:
///   - count: how many to mark, 0…`values.count`.
///   - values: any numbers.
///   - mask: receives 255 where marked and 0 elsewhere; as long as `values`.
public func markHighest(
  _ count: Int, of values: UnsafeBufferPointer<Float>, into mask: UnsafeMutableBufferPointer<UInt8>
) {
  precondition(
    mask.count == values.count,
    "markHighest: expected a mask of \(values.count) values, got \(mask.count)")
  precondition(
    count >= 0 && count <= values.count,
    "markHighest: expected a count from 0 to \(values.count), got \(count)")
  mask.update(repeating: 0)
  guard count > 0 else { return }

  // Find the key of the lowest marked value, its high bits first.
  var prefix: UInt32 = 0
  var known: UInt32 = 0
  var wanted = count
  withUnsafeTemporaryAllocation(of: Int.self, capacity: 2048) { histogram in
    for (shift, width) in [(21, 11), (10, 11), (0, 10)] as [(UInt32, UInt32)] {
      histogram.initialize(repeating: 0)
      let digits: UInt32 = 1 << width - 1
      for value in values {
        let key = orderedKey(value)
        if key & known == prefix { histogram[Int(key >> shift & digits)] += 1 }
      }
      var digit = Int(digits)
      while histogram[digit] < wanted {
        wanted -= histogram[digit]
        digit -= 1
      }
      prefix |= UInt32(digit) << shift
      known |= digits << shift
    }
  }
  // Everything above it, and of those equal to it the first that still fit.
  for index in 0..<values.count {
    let key = orderedKey(values[index])
    if key > prefix {
      mask[index] = 255
    } else if key == prefix && wanted > 0 {
      mask[index] = 255
      wanted -= 1
    }
  }
}

/// An integer that orders as the value does; −0 and 0 are the same, NaN is the lowest.
private func orderedKey(_ value: Float) -> UInt32 {
  if value.isNaN { return 0 }
  let bits = (value + 0).bitPattern
  return bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
}
