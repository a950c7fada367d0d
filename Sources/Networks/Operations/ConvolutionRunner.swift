import CKernels
import Glibc
import Tensors

/// A convolution over all channels: y = x·Wᵀ, where a row of x is the patch under the window.
///
/// Forward, a tile of rows is read (each input row once), laid out as patches and multiplied while it is
/// in cache. Backward: dW += dyᵀ·x; the patches' gradients dy·W go back to the pixels that they came
/// from. A 1×1 convolution needs no patches: its operand is the input as it is read, or the stored map.
final class ConvolutionRunner: OperationRunner, @unchecked Sendable {
  private let layer: NetworkGraph.Convolution
  private let input: LoweredNetwork.StoredMap
  private let view: LoweredNetwork.MapView
  private let place: PlacedWindow
  private let isPointwise: Bool
  private let isBare: Bool
  /// Elements of an operand's row, padding included, and those that are multiplied.
  private let operandStride: Int
  private let matrixInputs: Int
  private let hasMatrixLayout: Bool

  init(_ network: LoweredNetwork, _ index: Int, _ layer: NetworkGraph.Convolution) {
    self.layer = layer
    view = network.operations[index].inputs[0]
    input = network.maps[view.map]
    place = PlacedWindow(layer.window, over: input.size)
    isPointwise = layer.window.isPointwise
    isBare = network.isBare(view)
    operandStride = layer.window.size * layer.window.size * input.stride
    matrixInputs = network.graph.parameters[layer.weight].matrixShape!.inputs
    hasMatrixLayout = network.graph.parameters[layer.weight].layout == .matrix
    super.init(network, index)
  }

  private var size: MapSize { output.size }
  private var tileRows: Int { Tiling.rows(size) }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    let element = precision.size
    let pixels = max(Tiling.tilePixels(size, images: images), tileRows * size.width)
    var need = TileMemory.Need()
    need.operand = pixels * operandStride * element
    need.outputGradient = pixels * output.stride * element
    if isPointwise {
      need.inputGradient = pixels * input.stride * element
    } else {
      need.rows = RowRing.bytes(input, capacity: layer.window.reach, element)
      need.band = (pixels + place.retained * size.width) * operandStride * element
      need.inputGradient = Tiling.rows(input.size) * input.size.width * input.stride * element
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
    if isPointwise {
      if isBare { return pass.value(view.map, image: image, pixel: r0 * size.width) }
      pass.load(
        view, image: image, pixel: r0 * size.width, pixels: (r1 - r0) * size.width, to: memory)
      return memory
    }
    var window = place.kernel
    let row = size.width * operandStride * pass.maps.precision.size
    for r in r0..<r1 {
      ring.fill(tile.window, place, row: r, pass)
      pass.maps.layers.patch(tile.window, memory + (r - r0) * row, &window, Int32(input.stride))
    }
    return memory
  }

  private func ring(_ pass: GraphPass, _ tile: TileMemory, image: Int) -> RowRing {
    RowRing(pass, view, image: image, capacity: layer.window.reach, in: tile.rows)
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
        var ring = ring(pass, tile, image: image)
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
      for r0 in stride(from: 0, to: size.height, by: tileRows) {
        let r1 = min(r0 + tileRows, size.height)
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

  /// Weight matrices up to this size get a lane a task; larger ones are cut by output channels, over
  /// the whole layer's operands, unless those have more elements an image than this.
  private static let largestLane = 200_000
  private static let largestOperands = 1_500_000
  private var keepsLayer = false

  private var laneSize: Int { paddedChannels(layer.outputs * matrixInputs) }

  override func planLanes(lanesOnly: Bool) {
    keepsLayer =
      !lanesOnly && layer.outputs * matrixInputs > Self.largestLane
      && (isPointwise && isBare || size.pixels * operandStride <= Self.largestOperands)
  }

  override var laneCount: Int { keepsLayer ? 0 : laneSize }

  override func layerBytes(_ element: Int) -> (gradients: Int, operands: Int) {
    guard keepsLayer else { return (0, 0) }
    return (
      size.pixels * output.stride * element,
      isPointwise && isBare ? 0 : size.pixels * operandStride * element
    )
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let element = pass.maps.precision.size
    let map = operation.output
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
          var ring = ring(pass, tile, image: image)
          let address = operand(
            &ring, image: image, 0, size.height, to: memory + number * imageBytes, pass, tile)
          if number == 0 { start = address }
        }
        addToLane(pass, task: task, dy, start, pixels: pixels, accumulate: false)
      }
      if isPointwise {
        inputGradient(pass, tile, dy, image: first, pixel: 0, pixels: pixels, task: task)
        for image in images { pass.endBackward(index, image: image, task: task) }
        return
      }
      multiplyBack(pass, dy, pixels: pixels, to: tile.band)
      for (number, image) in images.enumerated() {
        var done = 0
        unpatch(
          pass, tile, band: tile.band + number * size.pixels * operandStride * element, held: 0,
          upTo: size.height, &done, image: image, task: task)
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
          addToLane(
            pass, task: task, dy, x, pixels: pixels,
            accumulate: image > images.lowerBound || r0 > 0)
        }
        if isPointwise {
          inputGradient(pass, tile, dy, image: image, pixel: pixel, pixels: pixels, task: task)
          continue
        }
        multiplyBack(pass, dy, pixels: pixels, to: tile.band + (r0 - held) * rowBytes)
        unpatch(
          pass, tile, band: tile.band, held: held, upTo: r1, &done, image: image, task: task)
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
    guard pass.isTraining, let layer = pass.layerGradients[index] else {
      return tile.outputGradient
    }
    return layer + (image * size.pixels + pixel) * output.stride * pass.maps.precision.size
  }

  private func operandPlace(_ pass: GraphPass, _ tile: TileMemory, image: Int, pixel: Int)
    -> UnsafeMutableRawPointer
  {
    guard let layer = pass.layerOperands[index] else { return tile.operand }
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
        for tap in 0..<layer.window.size {
          tile.window[tap] = place.outputRow(row, tap: tap).map {
            UnsafeRawPointer(band + ($0 - held) * rowBytes)
          }
        }
        pass.maps.layers.unpatch(
          tile.window, tile.inputGradient + (row - start) * inputBytes, &window,
          Int32(input.stride))
      }
      pass.contribute(
        index, 0, image: image, pixel: start * input.size.width,
        pixels: (stop - start) * input.size.width, da: tile.inputGradient, task: task)
    }
    done = max(done, last)
  }

  // MARK: Weights

  private func addToLane(
    _ pass: GraphPass, task: Int, _ dy: UnsafeRawPointer, _ x: UnsafeRawPointer, pixels: Int,
    accumulate: Bool
  ) {
    guard let lanes = pass.lanes[index] else { return }
    MatrixMultiply.multiply(
      pass.maps.precision, transposeA: true, m: layer.outputs, n: matrixInputs, k: pixels, a: dy,
      lda: output.stride, b: x, ldb: operandStride, accumulate: accumulate,
      c: lanes + task * laneSize, ldc: matrixInputs, floatResult: true)
  }

  override func planWeightGradients(_ program: GraphTraining, tasks: Int) {
    let pass = program.pass
    let (outputs, inputs) = (layer.outputs, matrixInputs)
    if let lanes = pass.lanes[index] {
      program.planLaneSum(
        layer.weight, lanes, count: outputs * inputs, pitch: laneSize, tasks: tasks)
      return
    }
    // Slices of some 128 output channels, in whole vectors.
    let map = operation.output
    let element = pass.maps.precision.size
    let slices = max(1, (outputs + 127) / 128)
    let each = (paddedChannels(outputs) / 16 + slices - 1) / slices * 16
    let gradient = program.detector.gradient(layer.weight)
    let dy =
      pass.computesOutputGradient(map)
      ? pass.layerGradients[index]! : pass.gradient(map, image: 0)
    let x = isPointwise && isBare ? pass.value(view.map, image: 0) : pass.layerOperands[index]!
    let pixels = pass.images * size.pixels
    program.planParallel(slices) { [self, unowned program] slice in
      let start = slice * each
      let count = min(each, outputs - start)
      if count <= 0 { return }
      MatrixMultiply.multiply(
        pass.maps.precision, transposeA: true, m: count, n: inputs, k: pixels,
        a: dy + start * element, lda: output.stride, b: x, ldb: operandStride,
        accumulate: program.accumulates, c: gradient + start * inputs, ldc: inputs,
        floatResult: true)
    }
  }
}
