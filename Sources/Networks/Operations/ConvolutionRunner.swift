import CKernels
import Glibc
import Tensors

/// A convolution over all channels: y = x·Wᵀ, where a row of x is the patch under the window.
///
/// Forward, a tile of rows is read (each input row once), laid out as patches and multiplied while it is
/// in cache. Backward: dW += dyᵀ·x; the patches' gradients dy·W go back to the pixels that they came
/// from. A 1×1 convolution needs no patches: its operand is the input as it is read, or the stored map.
///
/// A separable convolution (Chollet 2017) is the same with what a depthwise convolution makes of the
/// input for x, which is never stored: it is made as the patches are, and again on the way back.
///
/// One file, as for every operation: forward, the way back, the weights' gradient and the memory that they
/// need hold to the same tiles, rings and lanes, and are read beside one another.
final class ConvolutionRunner: OperationRunner, @unchecked Sendable {
  /// Where the rows that are multiplied come from.
  private enum Operand {
    /// The stored map is what is read.
    case stored
    /// The input as it is read.
    case loaded
    /// The same at every other row and column.
    case gathered
    case patches
    /// Index of the depthwise convolution's weights.
    case depthwise(Int)
  }
  private let layer: NetworkGraph.Convolution
  private let input: LoweredNetwork.StoredMap
  private let view: LoweredNetwork.MapView
  private let operandKind: Operand
  /// Of patches, or of the depthwise convolution.
  private let place: PlacedWindow
  /// Elements of an operand's row, padding included, and those that are multiplied.
  private let operandStride: Int
  private let matrixInputs: Int
  private let hasMatrixLayout: Bool
  /// See ``LoweredNetwork/isPlainSeparable(_:)``.
  private let isPlain: Bool

  /// - Parameter depthwise: of what it reads, when it is separable.
  init(
    _ network: LoweredNetwork, _ index: Int, _ layer: NetworkGraph.Convolution,
    behind depthwise: NetworkGraph.Convolution? = nil
  ) {
    self.layer = layer
    view = network.operations[index].inputs[0]
    input = network.maps[view.map]
    place = PlacedWindow(depthwise?.window ?? layer.window, over: input.size)
    if let depthwise {
      operandKind = .depthwise(depthwise.weight)
    } else if layer.window.isPointwise {
      operandKind = network.isBare(view) ? .stored : .loaded
    } else if network.isStridedShortcut(network.operations[index]) {
      operandKind = .gathered
    } else {
      operandKind = .patches
    }
    isPlain = network.isPlainSeparable(network.operations[index])
    operandStride = layer.window.size * layer.window.size * input.stride
    matrixInputs = network.graph.parameters[layer.weight].matrixShape!.inputs
    hasMatrixLayout = network.graph.parameters[layer.weight].layout == .matrix
    super.init(network, index)
  }

  private var size: MapSize { output.size }
  private var tileRows: Int { Tiling.rows(size) }
  /// A row of the operand comes from one pixel of the input.
  private var isPixelwise: Bool {
    switch operandKind {
    case .stored, .loaded: true
    case .gathered, .patches, .depthwise: false
    }
  }
  /// What a strided convolution gathers of an image is multiplied at once.
  private var forwardRows: Int {
    if case .gathered = operandKind { return size.height }
    return tileRows
  }
  private var isStored: Bool { if case .stored = operandKind { true } else { false } }

  /// Input rows that are held: those under a window, or, since the gradient of a depthwise
  /// convolution's weights needs them once more, those under all windows of a tile.
  private var ringRows: Int {
    guard case .depthwise = operandKind else { return place.window.reach }
    return min(input.size.height, (tileRows - 1) * place.window.stride + place.window.reach)
  }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    let element = precision.size
    let pixels = max(Tiling.tilePixels(size, images: images), tileRows * size.width)
    var need = TileMemory.Need()
    need.operand = max(pixels, forwardRows * size.width) * operandStride * element
    need.outputGradient = pixels * output.stride * element
    if isPixelwise {
      need.inputGradient = pixels * input.stride * element
    } else {
      need.rows =
        (Tiling.joins(size) ? images : 1) * RowRing.bytes(input, capacity: ringRows, element)
      need.band = (pixels + place.retained * size.width) * operandStride * element
      need.inputGradient = Tiling.rows(input.size) * input.size.width * input.stride * element
    }
    if let weightGradient, weightGradient.isPacked, !weightGradient.keepsLayer {
      // An odd number of pixels takes one more where they are packed in pairs.
      need.packedGradient = (pixels + 1) * output.stride * element
      need.packedOperand = (pixels + 1) * operandStride * element
    }
    return need
  }

  // MARK: The operand

  /// Rows [r0, r1) of an image's operand: its address, in `memory` unless the stored map serves.
  @inline(__always)
  private func operand(
    _ ring: inout RowRing, image: Int, _ r0: Int, _ r1: Int, to memory: UnsafeMutableRawPointer,
    _ pass: GraphPass, _ tile: TileMemory
  ) -> UnsafeMutableRawPointer {
    var window = place.kernel
    let row = size.width * operandStride * pass.maps.precision.size
    switch operandKind {
    case .stored: return pass.value(view.map, image: image, pixel: r0 * size.width)
    case .loaded:
      pass.load(
        view, image: image, pixel: r0 * size.width, pixels: (r1 - r0) * size.width, to: memory)
    case .gathered:
      var part = pass.rectified(
        view, image: image, pixel: place.inputRow(r0, tap: 0) * input.size.width, floor: floor)
      pass.maps.table.gather_strided(
        &part, memory, Int32(2 * (r1 - r0) - 1), Int32(input.size.width))
    case .patches:
      for r in r0..<r1 {
        ring.fill(tile.window, place, row: r, pass)
        pass.maps.layers.patch(tile.window, memory + (r - r0) * row, &window, Int32(input.stride))
      }
    case .depthwise(let weight):
      let weights = pass.weights.floats(weight)
      if isPlain {
        var part = pass.rectified(view, image: image, floor: floor)
        pass.maps.table.depthwise_forward(
          &part, weights, memory, pass.bitsToKeep(view.map, by: index, image: image),
          Int32(input.size.height), Int32(input.size.width), Int32(r0), Int32(r1))
        return memory
      }
      for r in r0..<r1 {
        ring.fill(tile.window, place, row: r, pass)
        pass.maps.layers.depthwise(
          tile.window, weights, memory + (r - r0) * row, &window, Int32(input.stride))
      }
    }
    return memory
  }

  private var floor: Float { view.activation == .relu ? 0 : noFloor }

  /// - Parameters:
  ///   - number: of the image, among those of a tile.
  ///   - loaded: rows that it holds already.
  private func ring(
    _ pass: GraphPass, _ tile: TileMemory, image: Int, number: Int = 0, loaded: Int = 0
  ) -> RowRing {
    let each = RowRing.bytes(input, capacity: ringRows, pass.maps.precision.size)
    return RowRing(
      pass, view, image: image, capacity: ringRows, in: tile.rows + number * each,
      loaded: loaded)
  }

  // MARK: Forward

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    let element = pass.maps.precision.size
    if joins(images) {
      let imageBytes = size.pixels * operandStride * element
      var start = tile.operand
      for (number, image) in images.enumerated() {
        var ring = ring(pass, tile, image: image, number: number)
        let address = operand(
          &ring, image: image, 0, size.height, to: tile.operand + number * imageBytes, pass, tile)
        if number == 0 { start = address }
      }
      let pixels = images.count * size.pixels
      pass.weights.forward(
        layer.weight, pixels: pixels, start, stride: operandStride,
        to: pass.value(map, image: images.lowerBound), stride: output.stride)
      pass.finishOutput(
        map, image: images.lowerBound, pixel: 0, pixels: pixels, task: task, hasPadding: true)
      return
    }
    for image in images {
      var ring = ring(pass, tile, image: image)
      for r0 in stride(from: 0, to: size.height, by: forwardRows) {
        let r1 = min(r0 + forwardRows, size.height)
        let pixels = (r1 - r0) * size.width
        let x = operand(&ring, image: image, r0, r1, to: tile.operand, pass, tile)
        pass.weights.forward(
          layer.weight, pixels: pixels, x, stride: operandStride,
          to: pass.value(map, image: image, pixel: r0 * size.width), stride: output.stride)
        pass.finishOutput(
          map, image: image, pixel: r0 * size.width, pixels: pixels, task: task, hasPadding: true)
      }
    }
  }

  // MARK: Backward

  /// Of training.
  private var weightGradient: WeightGradientPlan?
  private var keepsLayer: Bool { weightGradient?.keepsLayer ?? false }

  private var laneSize: Int { paddedChannels(layer.outputs * matrixInputs) }
  /// Those of a depthwise convolution always get a lane, behind the matrix's.
  private var depthwiseLane: Int {
    guard case .depthwise = operandKind else { return 0 }
    return place.window.size * place.window.size * input.stride
  }

  override func planLanes(lanesOnly: Bool, packs: Bool, images: Int, joined: Int) {
    weightGradient = WeightGradientPlan(
      outputs: layer.outputs, inputs: matrixInputs, size, isStored: isStored && !packs,
      lanesOnly: lanesOnly, isPacked: packs, images: images, joined: joined)
  }

  override var laneCount: Int { (keepsLayer ? 0 : laneSize) + depthwiseLane }

  override func layerBytes(_ element: Int) -> (gradients: Int, operands: Int) {
    guard let plan = weightGradient, plan.keepsLayer else { return (0, 0) }
    return (
      plan.keptPixels * output.stride * element,
      isStored && !plan.isPacked ? 0 : plan.keptPixels * operandStride * element
    )
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let element = pass.maps.precision.size
    let map = operation.output
    let depthwiseLane = depthwiseLane(pass, task: task)
    depthwiseLane?.update(repeating: 0, count: self.depthwiseLane)
    if joins(images) {
      let pixels = images.count * size.pixels
      let first = images.lowerBound
      let dy = pass.outputGradient(
        map, image: first, pixel: 0, pixels: pixels,
        to: gradientPlace(pass, tile, image: first, pixel: 0))
      if pass.isTraining {
        let imageBytes = size.pixels * operandStride * element
        let memory = operandPlace(pass, tile, image: first, pixel: 0)
        var start = memory
        for (number, image) in images.enumerated() {
          var ring = ring(pass, tile, image: image, number: number)
          let address = operand(
            &ring, image: image, 0, size.height, to: memory + number * imageBytes, pass, tile)
          if number == 0 { start = address }
        }
        addWeightGradient(
          pass, tile, task: task, dy, start, image: first, pixel: 0, pixels: pixels,
          accumulate: false)
      }
      if isPixelwise {
        inputGradient(pass, tile, dy, image: first, pixel: 0, pixels: pixels, task: task)
        for image in images { pass.endBackward(index, image: image, task: task) }
        return
      }
      if let strided = pass.stridedGradient(index, image: first, pixel: 0) {
        multiplyBack(pass, dy, pixels: pixels, to: strided)
        return
      }
      multiplyBack(pass, dy, pixels: pixels, to: tile.band)
      for (number, image) in images.enumerated() {
        var done = 0
        let band = tile.band + number * size.pixels * operandStride * element
        if sweepBack(
          pass, band: band, held: 0, upTo: size.height, &done, image: image, task: task,
          lane: depthwiseLane)
        {
          continue
        }
        if let depthwiseLane {
          // A map that is read past its rows' memory holds none.
          let loaded = isPlain ? 0 : input.size.height
          var ring = ring(pass, tile, image: image, number: number, loaded: loaded)
          addDepthwise(pass, tile, &ring, 0, size.height, band, to: depthwiseLane)
        }
        unpatch(
          pass, tile, band: band, held: 0, upTo: size.height, &done, image: image, task: task)
        pass.endBackward(index, image: image, task: task)
      }
      return
    }
    for image in images {
      var ring = ring(pass, tile, image: image)
      var held = 0
      var done = 0
      let rowBytes = size.width * operandStride * element
      for r0 in stride(from: 0, to: size.height, by: tileRows) {
        let r1 = min(r0 + tileRows, size.height)
        let pixel = r0 * size.width
        let pixels = (r1 - r0) * size.width
        let dy = pass.outputGradient(
          map, image: image, pixel: pixel, pixels: pixels,
          to: gradientPlace(pass, tile, image: image, pixel: pixel))
        if pass.isTraining {
          let x = operand(
            &ring, image: image, r0, r1,
            to: operandPlace(pass, tile, image: image, pixel: pixel), pass, tile)
          addWeightGradient(
            pass, tile, task: task, dy, x, image: image, pixel: pixel, pixels: pixels,
            accumulate: image > images.lowerBound || r0 > 0)
        }
        if isPixelwise {
          inputGradient(pass, tile, dy, image: image, pixel: pixel, pixels: pixels, task: task)
          continue
        }
        if let strided = pass.stridedGradient(index, image: image, pixel: pixel) {
          multiplyBack(pass, dy, pixels: pixels, to: strided)
          continue
        }
        let band = tile.band + (r0 - held) * rowBytes
        multiplyBack(pass, dy, pixels: pixels, to: band)
        if !sweepBack(
          pass, band: tile.band, held: held, upTo: r1, &done, image: image, task: task,
          lane: depthwiseLane)
        {
          if let depthwiseLane {
            addDepthwise(pass, tile, &ring, r0, r1, band, to: depthwiseLane)
          }
          unpatch(
            pass, tile, band: tile.band, held: held, upTo: r1, &done, image: image, task: task)
        }
        guard r1 < size.height else { continue }
        // Rows that the next tile's pixels still need move to the beginning.
        let first = min(place.firstOutput(for: done), r1)
        memmove(tile.band, tile.band + (first - held) * rowBytes, (r1 - first) * rowBytes)
        held = first
      }
      pass.endBackward(index, image: image, task: task)
    }
  }

  private func gradientPlace(_ pass: GraphPass, _ tile: TileMemory, image: Int, pixel: Int)
    -> UnsafeMutableRawPointer
  {
    guard let plan = weightGradient, !plan.isPacked, let layer = pass.layerGradients[index] else {
      return tile.outputGradient
    }
    return layer + (image * size.pixels + pixel) * output.stride * pass.maps.precision.size
  }

  private func operandPlace(_ pass: GraphPass, _ tile: TileMemory, image: Int, pixel: Int)
    -> UnsafeMutableRawPointer
  {
    guard let plan = weightGradient, !plan.isPacked, let layer = pass.layerOperands[index] else {
      return tile.operand
    }
    return layer + (image * size.pixels + pixel) * operandStride * pass.maps.precision.size
  }

  /// dx of a tile's patches.
  private func multiplyBack(
    _ pass: GraphPass, _ dy: UnsafeRawPointer, pixels: Int, to dx: UnsafeMutableRawPointer
  ) {
    pass.weights.backward(
      layer.weight, pixels: pixels, dy, stride: output.stride, to: dx, stride: operandStride)
    // A matrix as published has no columns for padding.
    if hasMatrixLayout, layer.inputs != input.stride {
      rfm_clear_padding(
        dx, Int32(pixels), Int32(layer.inputs), Int32(operandStride),
        Int32(pass.maps.precision.size))
    }
  }

  private func inputGradient(
    _ pass: GraphPass, _ tile: TileMemory, _ dy: UnsafeRawPointer, image: Int, pixel: Int,
    pixels: Int, task: Int
  ) {
    multiplyBack(pass, dy, pixels: pixels, to: tile.inputGradient)
    if view.gate == nil || pixels <= size.pixels {
      pass.contribute(
        index, 0, image: image, pixel: pixel, pixels: pixels, da: tile.inputGradient, task: task)
      return
    }
    // Each image has its own gate.
    for number in 0..<pixels / size.pixels {
      pass.contribute(
        index, 0, image: image + number, pixel: 0, pixels: size.pixels,
        da: tile.inputGradient
          + number * size.pixels * input.stride * pass.maps.precision.size, task: task)
    }
  }

  /// Input rows that are complete now that the band holds output rows [held, end).
  private func unpatch(
    _ pass: GraphPass, _ tile: TileMemory, band: UnsafeMutableRawPointer, held: Int, upTo end: Int,
    _ done: inout Int, image: Int, task: Int
  ) {
    let element = pass.maps.precision.size
    let rowBytes = size.width * operandStride * element
    let inputBytes = input.size.width * input.stride * element
    let last = place.finished(below: end)
    let chunk = Tiling.rows(input.size)
    var window = place.kernel
    for start in stride(from: done, to: last, by: chunk) {
      let stop = min(start + chunk, last)
      for row in start..<stop {
        for tap in 0..<place.window.size {
          tile.window[tap] = place.outputRow(row, tap: tap).map {
            UnsafeRawPointer(band + ($0 - held) * rowBytes)
          }
        }
        let out = tile.inputGradient + (row - start) * inputBytes
        if case .depthwise(let weight) = operandKind {
          pass.maps.layers.depthwise_input(
            tile.window, pass.weights.floats(weight), out, &window, Int32(input.stride))
        } else {
          pass.maps.layers.unpatch(tile.window, out, &window, Int32(input.stride))
        }
      }
      pass.contribute(
        index, 0, image: image, pixel: start * input.size.width,
        pixels: (stop - start) * input.size.width, da: tile.inputGradient, task: task)
    }
    done = max(done, last)
  }

  /// The same through a plain depthwise convolution and the ReLU before it, with the gradient of its
  /// weights and the sums for the norm, in one go.
  ///
  /// - Returns: false where there is no kernel for it; nothing is done then.
  private func sweepBack(
    _ pass: GraphPass, band: UnsafeRawPointer, held: Int, upTo end: Int, _ done: inout Int,
    image: Int, task: Int, lane: UnsafeMutablePointer<Float>?
  ) -> Bool {
    guard case .depthwise(let weight) = operandKind,
      let place = pass.destination(index, image: image, task: task)
    else { return false }
    let weights = pass.weights.floats(weight)
    let last = self.place.finished(below: end)
    if let lane {
      var part = pass.rectified(view, image: image, floor: floor)
      pass.maps.table.depthwise_backward(
        &part, weights, band, Int32(held), place.existing, place.kind, place.out, place.sums, lane,
        Int32(input.size.height), Int32(input.size.width), Int32(done), Int32(last))
    } else {
      pass.maps.table.depthwise_backward_input(
        band, Int32(held), weights, place.bits, place.scale, place.existing, place.kind, place.out,
        Int32(input.stride), Int32(input.size.height), Int32(input.size.width), Int32(done),
        Int32(last))
    }
    done = max(done, last)
    return true
  }

  // MARK: Weights

  /// Takes a tile's part of dW = dyᵀ·x: into the task's lane, or packed into the layer's memory. (What is not
  /// packed lies there already.)
  private func addWeightGradient(
    _ pass: GraphPass, _ tile: TileMemory, task: Int, _ dy: UnsafeRawPointer,
    _ x: UnsafeRawPointer, image: Int, pixel: Int, pixels: Int, accumulate: Bool
  ) {
    guard let plan = weightGradient else { return }
    let lane = plan.keepsLayer ? nil : pass.lanes[index].map { $0 + task * laneCount }
    guard plan.isPacked else {
      guard let lane else { return }
      pass.weights.weightGradient(
        outputs: layer.outputs, inputs: matrixInputs, pixels: pixels, dy, stride: output.stride, x,
        stride: operandStride, accumulate: accumulate, to: lane)
      return
    }
    let total = plan.keepsLayer ? plan.totalPairs : (pixels + 1) / 2
    let pair = plan.keepsLayer ? plan.pair(image: image, pixel: pixel) : 0
    let blocks = (pass.layerGradients[index] ?? tile.packedGradient)
      .assumingMemoryBound(to: UInt16.self)
    let panels = (pass.layerOperands[index] ?? tile.packedOperand)
      .assumingMemoryBound(to: UInt16.self)
    rfm_bf16_pack_pixels_transposed(
      dy.assumingMemoryBound(to: UInt16.self), Int64(pixels), Int64(layer.outputs),
      Int64(output.stride), Int64(pair), Int64(total), blocks)
    rfm_bf16_pack_pixels(
      x.assumingMemoryBound(to: UInt16.self), Int64(pixels), Int64(matrixInputs),
      Int64(operandStride), Int64(pair), Int64(total), panels)
    guard let lane else { return }
    rfm_bf16_multiply_blocks(
      Int64(layer.outputs), Int64(matrixInputs), Int64(total), blocks, panels, lane,
      Int64(matrixInputs), Int32(accumulate ? RFM_BF16_ADD_FLOAT : RFM_BF16_STORE_FLOAT))
  }

  /// A task's part of the gradient of a depthwise convolution's weights; nil without one.
  private func depthwiseLane(_ pass: GraphPass, task: Int) -> UnsafeMutablePointer<Float>? {
    guard depthwiseLane > 0, let lanes = pass.lanes[index] else { return nil }
    return lanes + (task + 1) * laneCount - depthwiseLane
  }

  /// Adds what output rows [r0, r1) give, whose gradients are in `band`.
  private func addDepthwise(
    _ pass: GraphPass, _ tile: TileMemory, _ ring: inout RowRing, _ r0: Int, _ r1: Int,
    _ band: UnsafeRawPointer, to lane: UnsafeMutablePointer<Float>
  ) {
    var window = place.kernel
    let row = size.width * operandStride * pass.maps.precision.size
    for r in r0..<r1 {
      ring.fill(tile.window, place, row: r, pass)
      pass.maps.layers.depthwise_weight(
        tile.window, band + (r - r0) * row, lane, &window, Int32(input.stride))
    }
  }

  override func planWeightGradients(_ program: GraphTraining, tasks: Int) {
    let pass = program.pass
    let (outputs, inputs) = (layer.outputs, matrixInputs)
    if case .depthwise(let weight) = operandKind {
      program.planLaneSum(
        weight, depthwiseLane(pass, task: 0)!, count: depthwiseLane, pitch: laneCount,
        tasks: tasks)
    }
    guard let plan = weightGradient, plan.keepsLayer else {
      program.planLaneSum(
        layer.weight, pass.lanes[index]!, count: outputs * inputs, pitch: laneCount, tasks: tasks)
      return
    }
    let map = operation.output
    let element = pass.maps.precision.size
    let gradient = program.detector.gradient(layer.weight)
    let dy =
      plan.isPacked || pass.computesOutputGradient(map)
      ? pass.layerGradients[index]! : pass.gradient(map, image: 0)
    let x =
      isStored && !plan.isPacked ? pass.value(view.map, image: 0) : pass.layerOperands[index]!
    let slices = plan.slices
    let total = plan.totalPairs
    program.planParallel(slices.count) { [self, unowned program] part in
      let slice = slices[part]
      if slice.isEmpty { return }
      let result = gradient + slice.lowerBound * inputs
      guard plan.isPacked else {
        pass.weights.weightGradient(
          outputs: slice.count, inputs: inputs, pixels: pass.images * size.pixels,
          dy + slice.lowerBound * element, stride: output.stride, x, stride: operandStride,
          accumulate: program.accumulates, to: result)
        return
      }
      rfm_bf16_multiply_blocks(
        Int64(slice.count), Int64(inputs), Int64(total),
        dy.assumingMemoryBound(to: UInt16.self) + slice.lowerBound * 2 * total,
        x.assumingMemoryBound(to: UInt16.self), result, Int64(inputs),
        Int32(program.accumulates ? RFM_BF16_ADD_FLOAT : RFM_BF16_STORE_FLOAT))
    }
  }
}
