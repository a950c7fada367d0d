import CKernels
import Tensors

/// A worker's memory for the tiles of whatever operation it is at.
final class TileMemory: @unchecked Sendable {
  /// Bytes of each part; an operation tells what it needs, and the largest of each is made.
  struct Need {
    /// Rows of an input, as they are read.
    var rows = 0
    /// A tile's patches, or its pixels as they are read.
    var operand = 0
    var outputGradient = 0
    /// Gradients of patches, or rows of an output's gradient.
    var band = 0
    var inputGradient = 0
    /// Float32, where the tile is another type.
    var floats = 0
    /// A tile's operands of a weight gradient, packed (`bfloat16_multiply.h`).
    var packedGradient = 0
    var packedOperand = 0

    mutating func add(_ other: Need) {
      rows = max(rows, other.rows)
      operand = max(operand, other.operand)
      outputGradient = max(outputGradient, other.outputGradient)
      band = max(band, other.band)
      inputGradient = max(inputGradient, other.inputGradient)
      floats = max(floats, other.floats)
      packedGradient = max(packedGradient, other.packedGradient)
      packedOperand = max(packedOperand, other.packedOperand)
    }
  }

  let rows: UnsafeMutableRawPointer
  let operand: UnsafeMutableRawPointer
  let outputGradient: UnsafeMutableRawPointer
  let band: UnsafeMutableRawPointer
  let inputGradient: UnsafeMutableRawPointer
  let floats: UnsafeMutablePointer<Float>
  let packedGradient: UnsafeMutableRawPointer
  let packedOperand: UnsafeMutableRawPointer
  /// Addresses of a window's rows.
  let window: UnsafeMutablePointer<UnsafeRawPointer?>
  let winners: UnsafeMutablePointer<UnsafePointer<UInt8>?>
  /// Where somebody wants to know what the worker's time goes to.
  var clock: OperationClock?
  private let memory: AlignedMemory

  static let largestWindow = 16

  init(_ need: Need) {
    var plan = MemoryPlan()
    let places = [
      need.rows, need.operand, need.outputGradient, need.band, need.inputGradient, need.floats,
      need.packedGradient, need.packedOperand,
    ].map { plan.take($0) }
    memory = AlignedMemory(size: plan.size)
    let base = memory.address
    rows = base + places[0]
    operand = base + places[1]
    outputGradient = base + places[2]
    band = base + places[3]
    inputGradient = base + places[4]
    floats = memory.floats(at: places[5])
    packedGradient = base + places[6]
    packedOperand = base + places[7]
    window = .allocate(capacity: Self.largestWindow)
    window.initialize(repeating: nil, count: Self.largestWindow)
    winners = .allocate(capacity: Self.largestWindow)
    winners.initialize(repeating: nil, count: Self.largestWindow)
  }

  deinit {
    window.deallocate()
    winners.deallocate()
  }
}

/// Runs one operation of a network over some images of a pass: one subclass a kind of operation.
///
/// Forward is the same with batch and with running statistics: what differs is how a map is read
/// (``GraphPass/view(_:image:pixel:)``) and what is done behind (``GraphPass/finishOutput``). Backward
/// takes the gradient of the output to that of the inputs and, in training, to the weights. A runner
/// holds nothing of a pass: workers share it.
class OperationRunner: @unchecked Sendable {
  let network: LoweredNetwork
  /// Its place in the network.
  let index: Int
  let operation: LoweredNetwork.Operation
  let output: LoweredNetwork.StoredMap

  init(_ network: LoweredNetwork, _ index: Int) {
    self.network = network
    self.index = index
    operation = network.operations[index]
    output = network.maps[operation.output]
  }

  /// - Parameters:
  ///   - images: of the pass.
  ///   - task: whose sums and lanes are added to; each has its own.
  func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    preconditionFailure("\(type(of: self)) has no forward")
  }

  func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    preconditionFailure("\(type(of: self)) has no backward")
  }

  /// One of both, by the worker whose tile it is.
  @inline(__always)
  final func run(
    _ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int, isBackward: Bool
  ) {
    if let clock = tile.clock {
      clock.measure(index, isBackward: isBackward) {
        isBackward
          ? backward(images, pass, tile, task: task) : forward(images, pass, tile, task: task)
      }
    } else if isBackward {
      backward(images, pass, tile, task: task)
    } else {
      forward(images, pass, tile, task: task)
    }
  }

  /// What a worker needs.
  ///
  /// - Parameter images: that are taken together.
  func need(_ precision: Precision, images: Int) -> TileMemory.Need { TileMemory.Need() }

  /// Bytes an image that are kept from forward to backward.
  func keptBytes(_ element: Int, _ purpose: PassPlan.Purpose) -> Int { 0 }

  /// Decides how weights' gradients are cut; before anything of what follows is asked.
  ///
  /// - Parameters:
  ///   - lanesOnly: by images, and nothing else.
  ///   - packs: operands are packed for this project's own bfloat16 multiply.
  ///   - images: of the pass.
  ///   - joined: of a task of its way back.
  func planLanes(lanesOnly: Bool, packs: Bool, images: Int, joined: Int) {}

  /// Float32 elements of a task's part of the gradients.
  var laneCount: Int { 0 }

  /// Bytes an image of a whole layer's output gradients and operands.
  func layerBytes(_ element: Int) -> (gradients: Int, operands: Int) { (0, 0) }

  /// The weights' gradients from what the tasks have left, once all of them are done.
  func planWeightGradients(_ program: GraphTraining, tasks: Int) {}

  /// Several images are taken together as one tile.
  func joins(_ images: Range<Int>) -> Bool {
    images.count > 1 && Tiling.joins(output.size)
  }

  static func runners(of network: LoweredNetwork) -> [OperationRunner] {
    network.operations.indices.map { index in
      switch network.operations[index].kind {
      case .convolution(let layer): ConvolutionRunner(network, index, layer)
      case .imageConvolution(let layer): ImageConvolutionRunner(network, index, layer)
      case .depthwise(let layer): DepthwiseRunner(network, index, layer)
      case .separable(let depthwise, let pointwise):
        ConvolutionRunner(network, index, pointwise, behind: depthwise)
      case .grouped(let layer): GroupedConvolutionRunner(network, index, layer)
      case .layerNorm(let layer): LayerNormRunner(network, index, layer)
      case .copy: CopyRunner(network, index)
      case .sum(let branch): SumRunner(network, index, branch: branch)
      case .concatenation: ConcatenationRunner(network, index)
      case .maximumPool(let window): MaximumPoolRunner(network, index, window)
      case .pooledSum: PooledSumRunner(network, index)
      case .averagePool(let window, let countsPadding):
        AveragePoolRunner(network, index, window, countsPadding: countsPadding)
      case .globalAverage: GlobalAverageRunner(network, index)
      case .flatten: FlattenRunner(network, index)
      case .linear(let layer): LinearRunner(network, index, layer)
      case .patchHead(let layer): PatchHeadRunner(network, index, layer)
      }
    }
  }
}

/// A window over a map, and the rows of the map that it reads.
struct PlacedWindow: Sendable {
  let window: Window
  let input: MapSize
  let output: MapSize
  /// Rows and columns of padding before the first.
  let top: Int
  let left: Int

  init(_ window: Window, over input: MapSize) {
    self.window = window
    self.input = input
    output = window.output(of: input)
    top = window.placed(over: input.height).before
    left = window.placed(over: input.width).before
  }

  var kernel: rfm_window {
    rfm_window(
      size: Int32(window.size), stride: Int32(window.stride), pad: Int32(left),
      dilation: Int32(window.dilation), W: Int32(input.width), Wo: Int32(output.width))
  }

  /// The input row under tap row `tap` of output row `row`; outside of the map it may be.
  func inputRow(_ row: Int, tap: Int) -> Int { row * window.stride + tap * window.dilation - top }

  /// The output row that tap row `tap` pairs with an input row.
  func outputRow(_ row: Int, tap: Int) -> Int? {
    let from = row + top - tap * window.dilation
    guard from >= 0, from % window.stride == 0, from / window.stride < output.height else {
      return nil
    }
    return from / window.stride
  }

  /// Input rows above this one get nothing from output rows from `row` on.
  func finished(below row: Int) -> Int {
    row == output.height
      ? input.height : max(0, min(input.height, row * window.stride - top))
  }

  /// The first output row that input rows from `row` on get something from.
  func firstOutput(for row: Int) -> Int {
    let from = row + top - (window.reach - 1)
    return from <= 0 ? 0 : (from + window.stride - 1) / window.stride
  }

  /// Output rows that input rows to come may still need when a tile ends.
  var retained: Int { (window.reach - 1) / window.stride + 2 }
}

/// Rows of an image's map as an operation reads them, each loaded once, the last `capacity` of them.
struct RowRing {
  private let memory: UnsafeMutableRawPointer
  private let rowBytes: Int
  private let capacity: Int
  private let width: Int
  private let height: Int
  private let view: LoweredNetwork.MapView
  private let image: Int
  /// The stored map shows what is read: rows are read where they are.
  private let isDirect: Bool
  /// Rows that have been loaded.
  private var loaded: Int

  init(
    _ pass: GraphPass, _ view: LoweredNetwork.MapView, image: Int, capacity: Int,
    in memory: UnsafeMutableRawPointer, loaded: Int = 0
  ) {
    let map = pass.network.maps[view.map]
    self.view = view
    self.image = image
    self.capacity = capacity
    self.loaded = loaded
    width = map.size.width
    height = map.size.height
    rowBytes = width * map.stride * pass.kernels(view.map).precision.size
    isDirect = pass.network.isBare(view)
    self.memory = isDirect ? pass.value(view.map, image: image) : memory
  }

  /// Bytes of a ring's memory.
  static func bytes(_ map: LoweredNetwork.StoredMap, capacity: Int, _ element: Int) -> Int {
    capacity * map.size.width * map.stride * element
  }

  /// Makes the addresses of the rows under a window, null outside of the map.
  @inline(__always)
  mutating func fill(
    _ addresses: UnsafeMutablePointer<UnsafeRawPointer?>, _ place: PlacedWindow, row: Int,
    _ pass: GraphPass
  ) {
    if !isDirect {
      let last = min(height - 1, place.inputRow(row, tap: place.window.size - 1))
      // Rows that no window sees are passed over.
      loaded = max(loaded, place.inputRow(row, tap: 0))
      while loaded <= last {
        pass.load(
          view, image: image, pixel: loaded * width, pixels: width,
          to: memory + loaded % capacity * rowBytes)
        loaded += 1
      }
    }
    for tap in 0..<place.window.size {
      let wanted = place.inputRow(row, tap: tap)
      addresses[tap] =
        wanted < 0 || wanted >= height
        ? nil : UnsafeRawPointer(memory + (isDirect ? wanted : wanted % capacity) * rowBytes)
    }
  }
}
