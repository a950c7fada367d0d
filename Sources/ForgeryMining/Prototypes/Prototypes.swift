/// What a detector looks at in the forgeries of each manipulation method.
///
/// Wang & Deng, CVPR 2021, section 3: the representative forgery of a method, its prototype, is the
/// mean normalised Forgery Attention Map (`normaliseAttention`) of fake images made by it.
public struct Prototypes: Equatable, Sendable {
  /// The manipulation methods, in the order of `maps`; no two alike.
  public var methods: [String]
  /// Rows of a map.
  public var height: Int
  /// Columns of a map.
  public var width: Int
  /// The prototypes, `[methods, height, width]`.
  public var maps: [Float]
  /// Of how many images each prototype is the mean, `[methods]`.
  public var counts: [Int64]

  public init(methods: [String], height: Int, width: Int, maps: [Float], counts: [Int64]) {
    precondition(
      maps.count == methods.count * height * width,
      "Prototypes: expected \(methods.count) maps of \(height)×\(width), got \(maps.count) values")
    precondition(
      counts.count == methods.count,
      "Prototypes: expected \(methods.count) counts, got \(counts.count)")
    self.methods = methods
    self.height = height
    self.width = width
    self.maps = maps
    self.counts = counts
  }

  /// The prototype of one method, `[height, width]`.
  public func map(_ method: Int) -> ArraySlice<Float> {
    maps[method * height * width..<(method + 1) * height * width]
  }

  /// Cosine similarities between the prototypes, `[methods, methods]`: 1 on the diagonal (0 for a
  /// prototype that is zero everywhere), symmetric. High off the diagonal: the detector sees the two
  /// methods alike.
  ///
  /// - Parameter kind: of the prototypes as they are, or after subtracting their common mean.
  public func similarityMatrix(_ kind: AttributionKind = .plain) -> [[Double]] {
    let attribution = Attribution(self)
    return methods.indices.map { method in
      self.maps.withUnsafeBufferPointer { maps in
        let size = height * width
        let map = UnsafeBufferPointer(rebasing: maps[method * size..<(method + 1) * size])
        return attribution.similarities(map)[kind]
      }
    }
  }

  /// The prototypes without one method, as if it had never been seen.
  public func removing(_ method: Int) -> Prototypes {
    var rest = self
    rest.methods.remove(at: method)
    rest.counts.remove(at: method)
    rest.maps.removeSubrange(method * height * width..<(method + 1) * height * width)
    return rest
  }
}

/// Sums of normalised attention maps, from which prototypes are made.
///
/// Partial sums of several ranks, or of several parts of the data, add up: sum `sums` and `counts`
/// elementwise (`merge`, or an allreduce on the two buffers). Sums are Double, so that the order
/// of adding shows in the last bits of the float32 prototypes at most.
public struct PrototypeAccumulator: Sendable {
  /// The manipulation methods; the index of a method is its place here.
  public let methods: [String]
  /// Rows of a map.
  public let height: Int
  /// Columns of a map.
  public let width: Int
  /// Sums of the normalised maps, `[methods, height, width]`.
  public var sums: [Double]
  /// Images added, `[methods]`.
  public var counts: [Int64]

  /// An accumulator with nothing in it.
  ///
  /// - Parameters:
  ///   - methods: names of the manipulation methods, without "real".
  ///   - height: rows of a map.
  ///   - width: columns of a map.
  public init(methods: [String], height: Int, width: Int) {
    self.methods = methods
    self.height = height
    self.width = width
    sums = [Double](repeating: 0, count: methods.count * height * width)
    counts = [Int64](repeating: 0, count: methods.count)
  }

  /// Adds the map of a fake image.
  ///
  /// - Parameters:
  ///   - normalised: its normalised attention map, `[height, width]`, finite.
  ///   - method: index of the method that made it.
  public mutating func add(_ normalised: UnsafeBufferPointer<Float>, method: Int) {
    precondition(
      normalised.count == height * width,
      "PrototypeAccumulator: expected a map of \(height)×\(width) values, got \(normalised.count)")
    precondition(
      methods.indices.contains(method),
      "PrototypeAccumulator: expected a method below \(methods.count), got \(method)")
    let start = method * height * width
    sums.withUnsafeMutableBufferPointer { sums in
      for pixel in 0..<normalised.count { sums[start + pixel] += Double(normalised[pixel]) }
    }
    counts[method] += 1
  }

  /// Adds the map of a fake image, as an array.
  public mutating func add(_ normalised: [Float], method: Int) {
    normalised.withUnsafeBufferPointer { add($0, method: method) }
  }

  /// Adds what another accumulator of the same methods and size holds.
  public mutating func merge(_ other: PrototypeAccumulator) {
    precondition(
      other.methods == methods && other.height == height && other.width == width,
      "PrototypeAccumulator: expected an accumulator of the same methods and size")
    for index in sums.indices { sums[index] += other.sums[index] }
    for index in counts.indices { counts[index] += other.counts[index] }
  }

  /// The means, for the methods of which there is at least one image; the others are left out.
  public func prototypes() -> Prototypes {
    let size = height * width
    let seen = methods.indices.filter { counts[$0] > 0 }
    var maps: [Float] = []
    maps.reserveCapacity(seen.count * size)
    for method in seen {
      for pixel in method * size..<(method + 1) * size {
        maps.append(Float(sums[pixel] / Double(counts[method])))
      }
    }
    return Prototypes(
      methods: seen.map { methods[$0] }, height: height, width: width, maps: maps,
      counts: seen.map { counts[$0] })
  }
}
