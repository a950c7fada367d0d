import Tensors

/// Weights that don't fit the detector.
public struct WeightsError: Error, CustomStringConvertible, Equatable {
  public let description: String
}

extension Detector {
  /// All weights and running statistics under their published names and shapes.
  public func weights() -> [NamedTensor] {
    weights(
      values: UnsafePointer(values.baseAddress!),
      runningStatistics: UnsafePointer(runningStatistics.baseAddress!))
  }

  /// The same of copies of the two arenas.
  public func weights(
    values: UnsafePointer<Float>, runningStatistics: UnsafePointer<Float>
  ) -> [NamedTensor] {
    tensors(of: values)
      + norms.flatMap { norm in
        let mean = runningStatistics + norm.runningOffset
        return [(norm.runningMeanName, mean), (norm.runningVarianceName, mean + norm.stride)].map {
          NamedTensor(
            name: $0, shape: [norm.channels],
            values: Array(UnsafeBufferPointer(start: $1, count: norm.channels)))
        }
      }
  }

  /// Another arena of the same layout, such as the gradients or an optimizer's moments, as
  /// published tensors.
  public func tensors(of arena: UnsafePointer<Float>) -> [NamedTensor] {
    parameters.map {
      NamedTensor(name: $0.name, shape: $0.shape, values: $0.published(from: arena))
    }
  }

  /// Stores published tensors into another arena of the same layout; every parameter must be there.
  public func store(
    _ tensors: [NamedTensor], into arena: UnsafeMutablePointer<Float>, from source: String
  ) throws {
    let byName = Dictionary(tensors.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    for parameter in parameters {
      guard let tensor = byName[parameter.name] else {
        throw WeightsError(description: "\(source): tensor \(parameter.name) is missing")
      }
      guard tensor.shape == parameter.shape else {
        throw Self.mismatch(source, tensor, parameter.shape)
      }
      parameter.store(tensor.values, into: arena)
    }
  }

  /// Loads published weights, such as ImageNet's. `last_linear.*` is read as `fc.*`, pointwise
  /// weights may be (out, in) or (out, in, 1, 1), `num_batches_tracked` is ignored. A classifier of
  /// another number of classes is replaced by a fresh one drawn from `seed`.
  ///
  /// - Returns: warnings to show, one a line.
  /// - Throws: ``WeightsError`` that names the tensor and both shapes. Nothing is changed then.
  public func load(_ tensors: [NamedTensor], from source: String, seed: UInt64) throws -> [String] {
    var warnings: [String] = []
    var byName: [String: NamedTensor] = [:]
    for tensor in tensors {
      var tensor = tensor
      if tensor.name.hasSuffix(".num_batches_tracked") { continue }
      if tensor.name.hasPrefix("last_linear.") {
        tensor.name = "fc." + tensor.name.dropFirst("last_linear.".count)
      }
      byName[tensor.name] = tensor
    }

    var accepted: [(Parameter, [Float])] = []
    for parameter in parameters {
      guard let tensor = byName.removeValue(forKey: parameter.name) else {
        throw WeightsError(
          description:
            "\(source): tensor \(parameter.name) \(parameter.shape) of \(name.rawValue) is missing")
      }
      if parameter.name.hasPrefix("fc."), tensor.shape.first != 2,
        Array(tensor.shape.dropFirst()) == Array(parameter.shape.dropFirst())
      {
        if parameter.name == "fc.weight" {
          warnings.append(
            "\(source): the classifier has \(tensor.shape.first ?? 0) classes; it is replaced by "
              + "a fresh one of two classes")
        }
        continue
      }
      let pointwise = parameter.layout == .matrix && parameter.shape.count == 4
      guard
        tensor.shape == parameter.shape
          || (pointwise && tensor.shape == Array(parameter.shape.prefix(2)))
      else { throw Self.mismatch(source, tensor, parameter.shape) }
      accepted.append((parameter, tensor.values))
    }
    var statistics: [(UnsafeMutablePointer<Float>, [Float])] = []
    for norm in norms {
      for (tensorName, target) in [
        (norm.runningMeanName, runningMean(norm)),
        (norm.runningVarianceName, runningVariance(norm)),
      ] {
        guard let tensor = byName.removeValue(forKey: tensorName) else {
          throw WeightsError(description: "\(source): tensor \(tensorName) is missing")
        }
        guard tensor.shape == [norm.channels] else {
          throw Self.mismatch(source, tensor, [norm.channels])
        }
        statistics.append((target, tensor.values))
      }
    }
    if let stranger = byName.keys.sorted().first {
      throw WeightsError(
        description:
          "\(source): tensor \(stranger) \(byName[stranger]!.shape) is not part of \(name.rawValue)"
      )
    }

    initialise(seed: seed)
    for (parameter, values) in accepted { parameter.store(values, into: self.values.baseAddress!) }
    for (target, values) in statistics {
      for (c, value) in values.enumerated() { target[c] = value }
    }
    return warnings
  }

  private static func mismatch(_ source: String, _ tensor: NamedTensor, _ shape: [Int])
    -> WeightsError
  {
    WeightsError(
      description: "\(source): tensor \(tensor.name) has shape \(tensor.shape), expected \(shape)")
  }
}
