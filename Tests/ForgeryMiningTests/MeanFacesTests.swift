import Testing

@testable import ForgeryMining

@Suite struct MeanFacesTests {
  /// An image whose values are a function of place and number.
  private func image(_ number: Int, height: Int = 4, width: Int = 5) -> [UInt8] {
    (0..<height * width * 3).map { UInt8(($0 * 31 + number * 97) & 255) }
  }

  private func add(
    _ numbers: [Int], method: Int, to accumulator: inout MeanFaceAccumulator
  ) {
    for number in numbers {
      image(number).withUnsafeBufferPointer {
        accumulator.add($0, imageWidth: 5, top: 1, left: 2, method: method)
      }
    }
  }

  @Test func aMeanFaceIsTheRoundedMeanOfTheCroppedImages() throws {
    var accumulator = MeanFaceAccumulator(methods: ["a", "none", "b"], height: 2, width: 3)
    add([1, 2, 3], method: 0, to: &accumulator)
    add([4], method: 2, to: &accumulator)
    let means = accumulator.means()
    #expect(means.methods == ["a", "b"] && means.height == 2 && means.width == 3)
    let face = try #require(means.image("a"))
    for row in 0..<2 {
      for column in 0..<3 {
        for channel in 0..<3 {
          let place = ((row + 1) * 5 + column + 2) * 3 + channel
          let sum = [1, 2, 3].reduce(0.0) { $0 + Double(image($1)[place]) }
          let value = face[face.startIndex + (row * 3 + column) * 3 + channel]
          #expect(Double(value) == (sum / 3).rounded())
        }
      }
    }
    #expect(Array(try #require(means.image("b"))).prefix(9) == image(4)[21..<30])
    #expect(means.image("none") == nil)
  }

  @Test func partsOfSeveralRanksAddUpExactly() {
    var whole = MeanFaceAccumulator(methods: ["a"], height: 2, width: 3)
    add([1, 2, 3, 4, 5], method: 0, to: &whole)
    var parts = MeanFaceAccumulator(methods: ["a"], height: 2, width: 3)
    add([5, 3], method: 0, to: &parts)
    var rest = MeanFaceAccumulator(methods: ["a"], height: 2, width: 3)
    add([1, 4, 2], method: 0, to: &rest)
    parts.sums = zip(parts.sums, rest.sums).map { $0 + $1 }
    parts.counts[0] += rest.counts[0]
    #expect(parts.means() == whole.means())
  }
}
