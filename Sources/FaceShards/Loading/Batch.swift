import Images
import Tensors

/// One batch of network input, in buffers that the loader owns and uses again: it is valid until the
/// next call of ``BatchLoader/next()``.
public final class Batch {
  /// Number of images; less than the loader's batch size only at the end of an evaluation.
  public internal(set) var count = 0
  /// Position in the sample order of the first image: in the job's order when training (of this
  /// rank's part of the global batch), in the list of samples when evaluating.
  public internal(set) var position = 0
  /// Side of the images.
  public let crop: Int

  private let capacity: Int
  private let imageMemory: AlignedMemory
  private let labelStorage: UnsafeMutableBufferPointer<UInt8>
  private let methodStorage: UnsafeMutableBufferPointer<UInt8>
  private let sampleStorage: UnsafeMutableBufferPointer<Int>
  private let identifierStorage: UnsafeMutableBufferPointer<Int>
  private let visitStorage: UnsafeMutableBufferPointer<Int>
  private let epochStorage: UnsafeMutableBufferPointer<Int>
  private let geometryStorage: UnsafeMutableBufferPointer<CropGeometry>
  private let warpStorage: UnsafeMutableBufferPointer<Bool>

  init(capacity: Int, crop: Int) {
    self.capacity = capacity
    self.crop = crop
    imageMemory = AlignedMemory(size: capacity * crop * crop * 3 * MemoryLayout<Float>.stride)
    labelStorage = .allocate(capacity: capacity)
    methodStorage = .allocate(capacity: capacity)
    sampleStorage = .allocate(capacity: capacity)
    identifierStorage = .allocate(capacity: capacity)
    visitStorage = .allocate(capacity: capacity)
    epochStorage = .allocate(capacity: capacity)
    geometryStorage = .allocate(capacity: capacity)
    warpStorage = .allocate(capacity: capacity)
    labelStorage.initialize(repeating: 0)
    methodStorage.initialize(repeating: 0)
    sampleStorage.initialize(repeating: 0)
    identifierStorage.initialize(repeating: 0)
    visitStorage.initialize(repeating: 0)
    epochStorage.initialize(repeating: -1)
    geometryStorage.initialize(repeating: CropGeometry(top: 0, left: 0, side: crop))
    warpStorage.initialize(repeating: false)
  }

  deinit {
    labelStorage.deallocate()
    methodStorage.deallocate()
    sampleStorage.deallocate()
    identifierStorage.deallocate()
    visitStorage.deallocate()
    epochStorage.deallocate()
    geometryStorage.deallocate()
    warpStorage.deallocate()
  }

  /// float32 [count, crop, crop, 3], normalised. The consumer may change them (erase) in place.
  public var images: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: imageMemory.floats(), count: count * crop * crop * 3)
  }
  /// 0 real, 1 fake; [count].
  public var labels: UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: labelStorage[..<count])
  }
  /// Indices into the set's method names, or ``ShardSet/selfBlendedMethod``; [count].
  public var methods: UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: methodStorage[..<count])
  }
  /// Numbers of the samples in their ``ShardSet``; [count].
  public var samples: UnsafeBufferPointer<Int> {
    UnsafeBufferPointer(rebasing: sampleStorage[..<count])
  }
  /// Identifiers of the samples (``SampleDraw/identifier(in:)``), which with `visits` key all random draws;
  /// [count].
  public var identifiers: UnsafeBufferPointer<Int> {
    UnsafeBufferPointer(rebasing: identifierStorage[..<count])
  }
  /// How many times each sample was drawn before (``SampleDraw/visit``): the `epoch` of
  /// `CounterGenerator`; [count], zeros when evaluating.
  public var visits: UnsafeBufferPointer<Int> {
    UnsafeBufferPointer(rebasing: visitStorage[..<count])
  }
  /// The epoch that each sample is drawn in for the first time; -1 where it was drawn in that epoch
  /// before, on this or another rank; [count], all -1 when evaluating.
  public var newInEpoch: UnsafeBufferPointer<Int> {
    UnsafeBufferPointer(rebasing: epochStorage[..<count])
  }
  /// Where in its image each was cut; [count].
  public var geometries: UnsafeBufferPointer<CropGeometry> {
    UnsafeBufferPointer(rebasing: geometryStorage[..<count])
  }
  /// Whether pixels of the image were moved before it was cut; [count].
  public var warped: UnsafeBufferPointer<Bool> {
    UnsafeBufferPointer(rebasing: warpStorage[..<count])
  }

  func set(_ i: Int, _ draw: SampleDraw, in set: ShardSet) {
    sampleStorage[i] = draw.sample
    visitStorage[i] = draw.visit
    identifierStorage[i] = draw.identifier(in: set)
    labelStorage[i] = draw.isSelfBlended ? 1 : set.labels[draw.sample]
    methodStorage[i] = draw.isSelfBlended ? set.selfBlendedMethod : set.methods[draw.sample]
  }

  func set(_ i: Int, newInEpoch epoch: Int) { epochStorage[i] = epoch }

  func set(_ i: Int, _ geometry: CropGeometry, isWarped: Bool) {
    geometryStorage[i] = geometry
    warpStorage[i] = isWarped
  }

  func image(_ i: Int) -> UnsafeMutableBufferPointer<Float> {
    let size = crop * crop * 3
    return UnsafeMutableBufferPointer(start: imageMemory.floats() + i * size, count: size)
  }
}
