import Foundation
import Testing

/// Values written by Tests/Oracle/mining.py.
func golden<T: Decodable>(_ name: String, as type: T.Type) throws -> T {
  let url = try #require(
    Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Golden"))
  return try JSONDecoder().decode(T.self, from: Data(contentsOf: url))
}

/// The largest difference of two sequences of equal length.
func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  #expect(a.count == b.count)
  return zip(a, b).map { ($0 - $1).magnitude }.max() ?? 0
}

/// Reproducible random numbers for property tests (SplitMix64; nothing of the library under test).
struct TestRandom: RandomNumberGenerator {
  var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func floats(_ count: Int, in range: ClosedRange<Float> = -1...1) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }
}
