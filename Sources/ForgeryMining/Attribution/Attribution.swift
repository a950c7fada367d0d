/// How an image's map is compared with the prototypes.
public enum AttributionKind: String, Codable, CaseIterable, Sendable {
  /// Cosine of the maps as they are.
  case plain
  /// Cosine after subtracting the mean of the prototypes from both.
  case centred

  /// The kind with the higher accuracy on validation data, to be used where only one is wanted;
  /// `plain` if they are equally good or neither is known.
  public static func moreAccurate(plain: Double?, centred: Double?) -> AttributionKind {
    (centred ?? 0) > (plain ?? 0) ? .centred : .plain
  }
}

/// Similarities of one map with every prototype, of both kinds.
public struct Similarities: Equatable, Codable, Sendable {
  /// Plain cosine similarities, `[methods]`, in −1…1.
  public var plain: [Double]
  /// Centred cosine similarities, `[methods]`, in −1…1.
  public var centred: [Double]

  /// The similarities of one kind.
  public subscript(kind: AttributionKind) -> [Double] {
    switch kind {
    case .plain: plain
    case .centred: centred
    }
  }

  /// The method whose prototype is most similar, the first of equals; nil without prototypes.
  public func likeliestMethod(_ kind: AttributionKind) -> Int? {
    let values = self[kind]
    return values.indices.max { values[$0] < values[$1] || (values[$0] == values[$1] && $0 > $1) }
  }

  /// The largest similarity, which says how well the image fits any known method; −1 without
  /// prototypes.
  public func largest(_ kind: AttributionKind) -> Double { self[kind].max() ?? -1 }
}

/// Attribution: names the manipulation method of a fake image by its attention map.
///
/// Wang & Deng, CVPR 2021, section 3. With x the image's normalised attention map and P_k the
/// prototype of method k,
///
///     plain:    s_k = x · P_k / (‖x‖ ‖P_k‖)
///     centred:  s_k = (x − m) · (P_k − m) / (‖x − m‖ ‖P_k − m‖),   m = mean of the P_k
///
/// and the largest s_k names the method. All faces share eyes, mouth and outline, so the prototypes
/// have a large part in common; it makes all plain similarities high and their differences small.
/// Centring takes the common part away and leaves what distinguishes the methods. A cosine with a
/// map that is zero everywhere is 0.
///
/// Prepare once, then use for many images.
public struct Attribution: Sendable {
  /// The prototypes that images are compared with.
  public let prototypes: Prototypes
  /// Mean of the prototypes, each weighing the same, `[height, width]`.
  let mean: [Float]
  /// The prototypes less their mean, `[methods, height, width]`.
  let centred: [Float]
  /// Norms of the prototypes and of the centred ones, `[methods]`.
  let plainNorms: [Double]
  let centredNorms: [Double]

  public init(_ prototypes: Prototypes) {
    self.prototypes = prototypes
    let size = prototypes.height * prototypes.width
    let methods = prototypes.methods.count
    var mean = [Float](repeating: 0, count: size)
    for pixel in 0..<size where methods > 0 {
      var sum = 0.0
      for method in 0..<methods { sum += Double(prototypes.maps[method * size + pixel]) }
      mean[pixel] = Float(sum / Double(methods))
    }
    var centred = prototypes.maps
    for index in centred.indices { centred[index] -= mean[index % size] }
    func norms(_ maps: [Float]) -> [Double] {
      (0..<methods).map { method in
        var sum = 0.0
        for index in method * size..<(method + 1) * size {
          sum += Double(maps[index]) * Double(maps[index])
        }
        return sum.squareRoot()
      }
    }
    plainNorms = norms(prototypes.maps)
    centredNorms = norms(centred)
    self.mean = mean
    self.centred = centred
  }

  /// Similarities of a map with every prototype.
  ///
  /// - Parameter normalised: the image's normalised attention map, `[height, width]`.
  public func similarities(_ normalised: UnsafeBufferPointer<Float>) -> Similarities {
    let size = prototypes.height * prototypes.width
    precondition(
      normalised.count == size,
      "Attribution: expected a map of \(prototypes.height)×\(prototypes.width) values, "
        + "got \(normalised.count)")
    return Similarities(
      plain: prototypes.maps.withUnsafeBufferPointer {
        cosines(of: normalised, with: $0, norms: plainNorms) { value, _ in Double(value) }
      },
      centred: centred.withUnsafeBufferPointer { maps in
        mean.withUnsafeBufferPointer { mean in
          cosines(of: normalised, with: maps, norms: centredNorms) { value, pixel in
            Double(value) - Double(mean[pixel])
          }
        }
      })
  }

  /// Similarities of a map, as an array, with every prototype.
  public func similarities(_ normalised: [Float]) -> Similarities {
    normalised.withUnsafeBufferPointer { similarities($0) }
  }

  /// Cosines of `transform(map)` with each of the maps.
  private func cosines(
    of map: UnsafeBufferPointer<Float>, with maps: UnsafeBufferPointer<Float>, norms: [Double],
    transform: (Float, Int) -> Double
  ) -> [Double] {
    var square = 0.0
    for pixel in 0..<map.count {
      let value = transform(map[pixel], pixel)
      square += value * value
    }
    let norm = square.squareRoot()
    return norms.indices.map { method in
      guard norm > 0 && norms[method] > 0 else { return 0 }
      let start = method * map.count
      var product = 0.0
      for pixel in 0..<map.count {
        product += transform(map[pixel], pixel) * Double(maps[start + pixel])
      }
      return min(max(product / (norm * norms[method]), -1), 1)
    }
  }
}
