import Foundation

/// The Swift twin of Tests/Oracle/deterministic.py, which defines it: weights, images and sketches
/// that both sides derive from Philox, bitwise the same, instead of sharing large files.
enum Oracle {
  static let seed: UInt32 = 5
  private static let imageStream: UInt32 = 10_000
  static let signStream: UInt32 = 20_000
  private static let sampleStream: UInt32 = 30_000
  private static let whole = 256
  private static let projections = 16
  private static let samples = 32

  /// philox4x32-10 (Salmon et al. 2011), written independently of the one under test.
  static func philox(_ counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (c0, c1, c2, c3) = (counter[0], counter[1], counter[2], counter[3])
    var (k0, k1) = (key[0], key[1])
    for _ in 0..<10 {
      let p0 = UInt64(0xD251_1F53) * UInt64(c0)
      let p1 = UInt64(0xCD9E_8D57) * UInt64(c2)
      (c0, c1, c2, c3) = (
        UInt32(p1 >> 32) ^ c1 ^ k0, UInt32(truncatingIfNeeded: p1),
        UInt32(p0 >> 32) ^ c3 ^ k1, UInt32(truncatingIfNeeded: p0)
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return SIMD4(c0, c1, c2, c3)
  }

  private static func block(_ index: Int, of stream: UInt32) -> SIMD4<UInt32> {
    philox(SIMD4(UInt32(index), stream, 0, 0x9E37_79B9), key: SIMD2(seed, 0))
  }

  /// The first `count` words of a stream.
  static func words(stream: UInt32, count: Int) -> [UInt32] {
    [UInt32](unsafeUninitializedCapacity: count) { words, filled in
      for first in stride(from: 0, to: count, by: 4) {
        let four = block(first / 4, of: stream)
        for k in 0..<min(4, count - first) { words[first + k] = four[k] }
      }
      filled = count
    }
  }

  // MARK: - Images

  /// Image `number`: uint8 `[size, size, 3]`.
  static func image(_ number: Int, size: Int) -> [UInt8] {
    let cells = (size + 15) / 16
    let coarse = cells * cells * 3
    let stream = words(
      stream: imageStream + UInt32(number), count: coarse + size * size * 3)
    var pixels = [UInt8]()
    pixels.reserveCapacity(size * size * 3)
    for y in 0..<size {
      for x in 0..<size {
        for c in 0..<3 {
          let smooth = stream[((y / 16) * cells + x / 16) * 3 + c] >> 24
          let fine = stream[coarse + (y * size + x) * 3 + c] >> 24
          pixels.append(UInt8((3 * smooth + fine) / 4))
        }
      }
    }
    return pixels
  }

  /// Images as network input, `[count, size, size, 3]` normalised, and their labels.
  static func batch(_ numbers: [Int], size: Int) -> (images: [Float], labels: [Int]) {
    var images = [Float]()
    images.reserveCapacity(numbers.count * size * size * 3)
    for number in numbers {
      for pixel in image(number, size: size) {
        images.append((Float(pixel) / 255 - 0.5) / 0.25)
      }
    }
    return (images, numbers.map { $0 % 2 })
  }

  // MARK: - Sketches

  /// What a golden keeps of `values`: all of them if they are few, else the L2 norm, 16 random
  /// projections and 32 samples.
  static func sketch(_ values: UnsafeBufferPointer<Float>) -> [Double] {
    guard values.count > whole else { return values.map(Double.init) }
    var squares = 0.0
    var sums = SIMD16<Double>()
    let bits = SIMD16<UInt64>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    for first in stride(from: 0, to: values.count, by: 4) {
      let four = block(first / 4, of: signStream)
      for k in 0..<min(4, values.count - first) {
        let value = Double(values[first + k])
        squares += value * value
        let signs = ((SIMD16(repeating: UInt64(four[k])) &>> bits) & 1) &<< 63
        let magnitude = SIMD16(repeating: value.bitPattern)
        sums += unsafeBitCast(magnitude ^ signs, to: SIMD16<Double>.self)
      }
    }
    let sampled = words(stream: sampleStream, count: samples).map { word in
      Double(values[Int((UInt64(word) * UInt64(values.count)) >> 32)])
    }
    return [squares.squareRoot()] + (0..<projections).map { sums[$0] } + sampled
  }

  /// The relative L2 error of an array, from its own sketch and the reference's: exact if the
  /// sketches are whole, else the largest of the estimates that norm, projections and samples give.
  /// Projections estimate it within about a fifth.
  static func relativeError(_ sketch: [Double], _ reference: [Double], count: Int) -> Double {
    precondition(sketch.count == reference.count, "sketches of arrays of different sizes")
    func norm(_ values: [Double]) -> Double {
      values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    func difference(_ range: Range<Int>) -> Double {
      norm(range.map { sketch[$0] - reference[$0] })
    }
    if count <= whole {
      return difference(0..<sketch.count) / norm(reference)
    }
    let first = 1 + projections
    // Samples of a sparse array may all be next to nothing: judge them against the typical value.
    let typical = reference[0] * (Double(samples) / Double(count)).squareRoot()
    let sampled = max(norm(Array(reference[first...])), typical)
    return max(
      difference(0..<1) / reference[0],
      difference(1..<first) / Double(projections).squareRoot() / reference[0],
      difference(first..<sketch.count) / sampled)
  }
}

/// Names, shapes and deterministic weights of a detector, by their published names.
struct OracleModel {
  enum Recipe: String, Decodable { case random, separated }

  let name: String
  let recipe: Recipe
  /// Published name to shape, `num_batches_tracked` left out.
  let shapes: [String: [Int]]
  /// The sum, modulo 2^64, of each weight's bits times its place, from Python.
  let checksum: UInt64
  private let statistics: [String: [Float]]

  /// - Parameter name: `xception` or `xception-tiny`.
  init(_ name: String) throws {
    struct Index: Decodable {
      let recipe: Recipe
      let weightsChecksum: String
      let shapes: [String: [Int]]
    }
    let index = try JSONDecoder().decode(Index.self, from: Golden.data("\(name).json"))
    self.name = name
    recipe = index.recipe
    shapes = index.shapes
    checksum = UInt64(index.weightsChecksum)!
    var statistics = [String: [Float]]()
    if recipe == .separated {
      let values = try Golden.floats("\(name).f32")
      var offset = 0
      for name in shapes.keys.sorted() where name.contains(".running_") {
        let count = shapes[name]!.reduce(1, *)
        statistics[name] = Array(values[offset..<offset + count])
        offset += count
      }
    }
    self.statistics = statistics
  }

  /// Every tensor, float32 in its published layout, by published name.
  func weights() -> [String: [Float]] {
    var result = [String: [Float]]()
    for (index, name) in shapes.keys.sorted().enumerated() {
      let shape = shapes[name]!
      let us = Oracle.words(stream: UInt32(index), count: shape.reduce(1, *)).map {
        Float($0 >> 8) / 0x1p24
      }
      result[name] = values(of: name, shape: shape, from: us)
    }
    return result
  }

  private func values(of name: String, shape: [Int], from us: [Float]) -> [Float] {
    let signed = us.map { 2 * $0 - 1 }
    if shape.count > 1 {
      let gain = name.hasSuffix("pointwise.weight") ? 0.6 : 0.9
      let fanIn = Double(shape.dropFirst().reduce(1, *))
      let scale = Float((6 / fanIn).squareRoot() * gain)
      return signed.map { $0 * scale }
    }
    if name == "fc.bias" { return signed.map { $0 * 0.1 } }
    return recipe == .random
      ? randomNormalisation(name, us, signed) : separatedNormalisation(name, us, signed)
  }

  private func randomNormalisation(_ name: String, _ us: [Float], _ signed: [Float]) -> [Float] {
    if name.hasSuffix(".running_mean") { return signed.map { $0 * 0.1 } }
    if name.hasSuffix(".running_var") { return us.map { 0.5 + $0 } }
    if name.hasSuffix(".bias") { return signed.map { $0 * 0.2 } }
    let block = name.prefix { $0 != "." }
    let halved = closesBlock(name) && shapes["\(block).skip.weight"] == nil
    return us.map { (0.5 + $0) * (halved ? 0.5 : 1) }
  }

  private func separatedNormalisation(
    _ name: String, _ us: [Float], _ signed: [Float]
  ) -> [Float] {
    if name.contains(".running_") { return statistics[name]! }
    if name.hasSuffix(".bias") {
      if closesBlock(name) { return signed.map { $0 * 0.2 } }
      let least: Float = name.contains(".skipbn.") ? 4 : 2.5
      return signed.map { $0 < 0 ? -(least + abs($0)) : least + abs($0) }
    }
    let factor: Float = closesBlock(name) ? 0.25 : 1
    return us.map { (0.5 + 0.5 * $0) * factor }
  }

  /// Whether the batch norm that `name` belongs to is the last of its block's `rep`.
  private func closesBlock(_ name: String) -> Bool {
    let parts = name.split(separator: ".")
    guard parts[1] == "rep" else { return false }
    let prefix = "\(parts[0]).rep."
    let last = shapes.keys.filter { $0.hasPrefix(prefix) }
      .map { Int($0.split(separator: ".")[2])! }.max()
    return Int(parts[2]) == last
  }
}
