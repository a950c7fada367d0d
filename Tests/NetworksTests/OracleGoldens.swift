import Foundation

/// Files of Tests/NetworksTests/Golden, written by Tests/Oracle/network_goldens.py.
enum Golden {
  static func data(_ name: String) throws -> Data {
    let folder = Bundle.module.resourceURL!.appendingPathComponent("Golden")
    return try Data(contentsOf: folder.appendingPathComponent(name))
  }

  /// A file of little-endian float32.
  static func floats(_ name: String) throws -> [Float] {
    let data = try data(name)
    return data.withUnsafeBytes { bytes in
      (0..<bytes.count / 4).map { index in
        let bits = bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
        return Float(bitPattern: UInt32(littleEndian: bits))
      }
    }
  }
}

/// One array that PyTorch computed in float64: all of it, or its sketch.
struct OracleArray {
  let name: String
  let shape: [Int]
  /// The whole array in row-major order if `isWhole`, else its sketch.
  let kept: [Float]
  let isWhole: Bool
  /// Relative L2 error of PyTorch's own float32 result.
  let float32Error: Double

  var count: Int { shape.reduce(1, *) }

  /// What a float32 implementation has to reach: `target`, unless rounding alone, seen in PyTorch,
  /// takes up a good part of that. (A few gradients are small differences of large numbers.)
  func tolerance(_ target: Double = 1e-3) -> Double { max(target, 3 * float32Error) }

  /// Relative L2 error of `values`, given in this array's layout.
  func relativeError(of values: UnsafeBufferPointer<Float>) -> Double {
    precondition(values.count == count, "\(name) has \(count) values, not \(values.count)")
    if isWhole {
      var difference = 0.0
      var norm = 0.0
      for (value, reference) in zip(values, kept) {
        difference += (Double(value) - Double(reference)) * (Double(value) - Double(reference))
        norm += Double(reference) * Double(reference)
      }
      return (difference / norm).squareRoot()
    }
    return Oracle.relativeError(Oracle.sketch(values), kept.map(Double.init), count: count)
  }

  func relativeError(of values: [Float]) -> Double {
    values.withUnsafeBufferPointer { relativeError(of: $0) }
  }
}

/// What PyTorch computed for one detector and crop.
///
/// Layouts are NHWC and, for parameters, the published ones. Arrays:
/// `evaluation/logits` `[B, 2]`, `evaluation/cam` `[B, 2, h, w]`, `evaluation/attention/N` `[H, W]`
/// and `evaluation/input_gradient/N` `[H, W, 3]` of the N-th evaluation image,
/// `evaluation/stage/NAME`, `training/logits`, `training/stage/NAME`,
/// `training/stage_gradient/NAME`, `training/gradient/PARAMETER`, `training/running/BUFFER`.
/// Stages are `act2`, `block1`, …, `act3`, `act4`: the outputs of PyTorch's modules of that name.
struct OracleCase {
  let name: String
  let model: String
  let crop: Int
  /// Image numbers for `Oracle.batch`.
  let evaluationImages: [Int]
  let trainingImages: [Int]
  /// `training/loss`, `evaluation/most_sensitive/N`, `evaluation/sensitivity_margin/N`.
  let scalars: [String: Double]
  /// Checksum of the training images, from Python.
  let imagesChecksum: UInt64
  private let arrays: [String: OracleArray]

  /// - Parameter name: `xception-224`, `xception-tiny-96` or `xception-tiny-97`.
  init(_ name: String) throws {
    struct Entry: Decodable {
      let shape: [Int]
      let offset: Int
      let count: Int
      let whole: Bool
      let float32Error: Double
    }
    struct Index: Decodable {
      let model: String
      let crop: Int
      let evaluationImages: [Int]
      let trainingImages: [Int]
      let scalars: [String: Double]
      let imagesChecksum: String
      let arrays: [String: Entry]
    }
    let index = try JSONDecoder().decode(Index.self, from: Golden.data("\(name).json"))
    let values = try Golden.floats("\(name).f32")
    self.name = name
    model = index.model
    crop = index.crop
    evaluationImages = index.evaluationImages
    trainingImages = index.trainingImages
    scalars = index.scalars
    imagesChecksum = UInt64(index.imagesChecksum)!
    var arrays = [String: OracleArray]()
    for (key, entry) in index.arrays {
      arrays[key] = OracleArray(
        name: key, shape: entry.shape,
        kept: Array(values[entry.offset..<entry.offset + entry.count]), isWhole: entry.whole,
        float32Error: entry.float32Error)
    }
    self.arrays = arrays
  }

  /// The array called `name`; it must exist.
  subscript(_ name: String) -> OracleArray {
    guard let array = arrays[name] else {
      preconditionFailure("golden \(self.name) has no array \(name)")
    }
    return array
  }

  /// Names of the arrays that start with `prefix`, the prefix removed, sorted.
  func names(under prefix: String) -> [String] {
    arrays.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }.sorted()
  }
}

/// Losses of ten Adam steps in PyTorch; step s trains on images `s * batch ..< (s + 1) * batch`.
struct OracleSteps: Decodable {
  let model: String
  let crop: Int
  let batch: Int
  let learningRate: Double
  /// In float64.
  let losses: [Double]
  let float32Losses: [Double]

  /// - Parameter name: `xception-96` or `xception-tiny-96`.
  init(_ name: String) throws {
    let all = try JSONDecoder().decode([String: OracleSteps].self, from: Golden.data("steps.json"))
    guard let steps = all[name] else { preconditionFailure("steps.json has no \(name)") }
    self = steps
  }

  /// Image numbers of step `step`.
  func images(of step: Int) -> [Int] {
    Array(step * batch..<(step + 1) * batch)
  }
}
