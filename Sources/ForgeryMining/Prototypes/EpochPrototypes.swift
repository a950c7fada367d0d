/// Prototypes of the epoch under way, from the maps that SFE computes anyway.
///
/// Where ``Prototypes`` are exact, over the same validation images and one detector, these cost next
/// to nothing and need no validation images: every fake image that is about to be erased, for the first
/// time in the epoch, gives its Forgery Attention Map, normalised like the exact ones (``normaliseAttention(_:height:width:into:)``).
/// So they tell what the detector attended to while it learned: over training images, before erasing,
/// with the weights of the step that each was taken in.
///
/// Training crops lie anywhere in the image and may be mirrored. Each map is put back to where its
/// pixels lie in the centre crop, which the exact prototypes show; what falls outside is left out. A
/// pixel is the mean over the maps that reached it, 0 where none did.
///
/// Sums are whole numbers of 2^-30, which add up without rounding. So they are the same however
/// the images were spread over ranks and whenever the training was interrupted.
public struct EpochPrototypes: Equatable, Sendable {
  /// The epoch, from 0.
  public var epoch: Int
  /// Names of the manipulation methods, no two alike.
  public var methods: [String]
  /// Rows and columns of a map: the crop.
  public var side: Int
  /// Sums of the normalised maps in 2^-30, `[methods, side, side]`.
  public var sums: [Int64]
  /// How many maps reached each pixel, `[methods, side, side]`.
  public var coverage: [Int64]
  /// How many images there were, `[methods]`.
  public var counts: [Int64]

  /// - Precondition: the arrays have the sizes that `methods` and `side` give them.
  public init(
    epoch: Int, methods: [String], side: Int, sums: [Int64], coverage: [Int64], counts: [Int64]
  ) {
    precondition(
      sums.count == methods.count * side * side && coverage.count == sums.count
        && counts.count == methods.count,
      "EpochPrototypes: expected \(methods.count) maps of \(side)×\(side), got \(sums.count) and "
        + "\(coverage.count) values")
    self.epoch = epoch
    self.methods = methods
    self.side = side
    self.sums = sums
    self.coverage = coverage
    self.counts = counts
  }

  /// One, in the unit of the sums.
  static let unit = 0x1p30

  /// The mean maps.
  public var prototypes: Prototypes {
    Prototypes(
      methods: methods, height: side, width: side,
      maps: zip(sums, coverage).map { sum, count in
        count == 0 ? 0 : Float(Double(sum) / (Double(count) * Self.unit))
      }, counts: counts)
  }

  /// Those methods of which there are images.
  public var seen: EpochPrototypes {
    let size = side * side
    var seen = EpochPrototypes(
      epoch: epoch, methods: [], side: side, sums: [], coverage: [], counts: [])
    for method in methods.indices where counts[method] > 0 {
      seen.methods.append(methods[method])
      seen.sums += sums[method * size..<(method + 1) * size]
      seen.coverage += coverage[method * size..<(method + 1) * size]
      seen.counts.append(counts[method])
    }
    return seen
  }
}

/// Where a map that the detector made of a training crop lies in the centre crop.
public struct MapPlacement: Equatable, Sendable {
  /// Rows that the crop lies below the centre crop; negative: above.
  public var down: Int
  /// Columns that it lies to the right of it.
  public var right: Int
  /// Whether the crop was mirrored after it was cut.
  public var isFlipped: Bool

  public init(down: Int, right: Int, isFlipped: Bool) {
    self.down = down
    self.right = right
    self.isFlipped = isFlipped
  }
}

/// Gathers ``EpochPrototypes`` while a training goes on. Adding allocates nothing.
public final class EpochPrototypeGatherer {
  /// The manipulation methods; the index of a method is its place here.
  public let methods: [String]
  /// Rows and columns of a map.
  public let side: Int
  /// The epoch that is gathered, -1 before the first.
  public private(set) var epoch = -1
  private let sums: UnsafeMutableBufferPointer<Int64>
  private let coverage: UnsafeMutableBufferPointer<Int64>
  private let counts: UnsafeMutableBufferPointer<Int64>

  public init(methods: [String], side: Int) {
    self.methods = methods
    self.side = side
    sums = .allocate(capacity: methods.count * side * side)
    coverage = .allocate(capacity: methods.count * side * side)
    counts = .allocate(capacity: methods.count)
    clear()
  }

  deinit {
    sums.deallocate()
    coverage.deallocate()
    counts.deallocate()
  }

  private func clear() {
    sums.initialize(repeating: 0)
    coverage.initialize(repeating: 0)
    counts.initialize(repeating: 0)
  }

  /// Says which epoch the images to come belong to; a new one begins with nothing.
  public func begin(epoch: Int) {
    if epoch != self.epoch { clear() }
    self.epoch = epoch
  }

  /// Counts an image of a method, whose map is added with `add`.
  public func count(method: Int) { counts[method] += 1 }

  /// Adds what a map has to say about some rows of the centre crop. Calls for different rows may be
  /// made at the same time.
  ///
  /// - Parameters:
  ///   - map: a normalised map as the detector made it, `[side, side]`, in [0, 1].
  ///   - rows: of the centre crop.
  public func add(
    _ map: UnsafePointer<Float>, method: Int, placement: MapPlacement, rows: Range<Int>
  ) {
    let (first, last) = (max(0, placement.right), min(side, side + placement.right))
    guard first < last else { return }
    for row in max(
      rows.lowerBound, placement.down)..<max(
        rows.lowerBound, placement.down, min(rows.upperBound, side + placement.down))
    {
      let target = (method * side + row) * side
      let sums = sums.baseAddress! + target
      let coverage = coverage.baseAddress! + target
      var source = map + (row - placement.down) * side
      let step: Int
      if placement.isFlipped {
        source += side - 1 - (first - placement.right)
        step = -1
      } else {
        source += first - placement.right
        step = 1
      }
      for column in first..<last {
        sums[column] += Int64(Double(source.pointee) * EpochPrototypes.unit + 0.5)
        coverage[column] += 1
        source += step
      }
    }
  }

  /// What has been gathered since the epoch began.
  public var gathered: EpochPrototypes {
    EpochPrototypes(
      epoch: max(0, epoch), methods: methods, side: side, sums: Array(sums),
      coverage: Array(coverage), counts: Array(counts))
  }

  /// Goes on from what was gathered before. Methods that are not among these are left out, and so
  /// are maps of another size.
  public func resume(_ earlier: EpochPrototypes) {
    clear()
    epoch = earlier.epoch
    guard earlier.side == side else { return }
    let size = side * side
    for (index, name) in earlier.methods.enumerated() {
      guard let method = methods.firstIndex(of: name) else { continue }
      counts[method] = earlier.counts[index]
      for pixel in 0..<size {
        sums[method * size + pixel] = earlier.sums[index * size + pixel]
        coverage[method * size + pixel] = earlier.coverage[index * size + pixel]
      }
    }
  }
}
