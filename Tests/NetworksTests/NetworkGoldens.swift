import Foundation
import Synchronization
import Tensors

@testable import Networks

/// What PyTorch computed for a network; written by Tests/Oracle/detectors.py,
/// which says what is in the files and how the weights are drawn.
struct NetworkGolden {
  struct Case: Decodable, Sendable {
    let crop: Int
    /// Image numbers for `Oracle.batch`.
    let evaluationImages: [Int]
    /// Places of the largest value of each FAM.
    let mostSensitive: [Int]
    /// Those of a training step.
    let trainingImages: [Int]
    let loss: Double
    let float32Loss: Double
    /// Where its values start.
    let offset: Int
  }

  struct Steps: Decodable, Sendable {
    let crop: Int
    let batch: Int
    let learningRate: Double
    let losses: [Double]
    let float32Losses: [Double]
  }

  private struct Index: Decodable {
    let weightsChecksum: String
    let cases: [Case]
    let steps: Steps
  }

  let name: DetectorName
  let cases: [Case]
  let steps: Steps
  /// As in Tests/Oracle/network_goldens.py.
  let weightsChecksum: UInt64
  let values: [Float]

  init(_ name: DetectorName) throws {
    let file = "Networks/\(name.rawValue)"
    let index = try JSONDecoder().decode(Index.self, from: Golden.data("\(file).json"))
    self.name = name
    cases = index.cases
    steps = index.steps
    weightsChecksum = UInt64(index.weightsChecksum)!
    values = try Golden.floats("\(file).f32")
  }

  /// The norm and eight projections of an array, and PyTorch's own float32 error.
  struct Sketch {
    let kept: [Double]
    let float32Error: Double

    init(_ values: ArraySlice<Float>) {
      kept = values.prefix(9).map(Double.init)
      float32Error = Double(values.last!)
    }

    static let count = 10

    /// The relative L2 error of an array, estimated.
    func relativeError(of values: [Float]) -> Double {
      let own = NetworkGolden.sketch(values)
      if kept[0] == 0 { return own[0] }
      var squares = 0.0
      for k in 1...8 { squares += (own[k] - kept[k]) * (own[k] - kept[k]) / 8 }
      return max(abs(own[0] - kept[0]), squares.squareRoot()) / kept[0]
    }
  }

  private static func sketch(_ values: [Float]) -> [Double] {
    var squares = 0.0
    var sums = [Double](repeating: 0, count: 8)
    let signs = Oracle.words(stream: Oracle.signStream, count: values.count)
    for (value, bits) in zip(values, signs) {
      let value = Double(value)
      squares += value * value
      for k in 0..<8 { sums[k] += bits >> UInt32(k) & 1 == 0 ? value : -value }
    }
    return [squares.squareRoot()] + sums
  }
}

extension Fixture {
  /// The weights that Tests/Oracle/detectors.py draws, by published name.
  static func drawnWeights(_ detector: Detector) -> [NamedTensor] {
    detector.weights().sorted { $0.name < $1.name }.enumerated().map { index, tensor in
      let us = Oracle.words(stream: UInt32(index), count: tensor.values.count).map {
        Float($0 >> 8) / 0x1p24
      }
      let signed = us.map { 2 * $0 - 1 }
      var tensor = tensor
      let name = tensor.name
      if tensor.shape.count > 1 {
        let fanIn = Double(tensor.shape.dropFirst().reduce(1, *))
        let scale = Float((6 / fanIn).squareRoot() * 0.9)
        tensor.values = signed.map { $0 * scale }
      } else if name.hasSuffix(".running_mean") {
        tensor.values = signed.map { $0 * 0.1 }
      } else if name.hasSuffix(".gamma") {
        tensor.values = us.map { 0.2 + 0.2 * $0 }
      } else if name.hasSuffix(".bias") {
        tensor.values = signed.map { $0 * 0.2 }
      } else {
        tensor.values = us.map { 0.5 + $0 }
      }
      return tensor
    }
  }

  /// The weights that were drawn last: tests ask for the same network several times in a row.
  private static let lastDrawn = Mutex<(name: DetectorName, tensors: [NamedTensor])?>(nil)

  static func drawnWeights(_ name: DetectorName) -> [NamedTensor] {
    lastDrawn.withLock { last in
      if let last, last.name == name { return last.tensors }
      let tensors = drawnWeights(Detector(name))
      last = (name, tensors)
      return tensors
    }
  }

  /// A detector with those weights.
  static func drawn(_ name: DetectorName) throws -> Detector {
    let detector = Detector(name)
    _ = try detector.load(drawnWeights(name), from: "oracle", seed: 0)
    return detector
  }
}
