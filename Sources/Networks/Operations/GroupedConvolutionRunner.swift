import CKernels
import Glibc
import Tensors

/// A convolution of groups of channels, each by itself: y_g = x_g·W_gᵀ, where a row of x_g is the group's
/// part of the patch under the window.
///
/// Tiles of rows and the way back to the pixels are as in ``ConvolutionRunner``; the multiplies are one a
/// group, in float32 whatever the maps are, over patches whose groups lie one behind the other.
final class GroupedConvolutionRunner: OperationRunner, @unchecked Sendable {
  private let layer: NetworkGraph.Convolution
  private let input: LoweredNetwork.StoredMap
  private let view: LoweredNetwork.MapView
  private let place: PlacedWindow

  init(_ network: LoweredNetwork, _ index: Int, _ layer: NetworkGraph.Convolution) {
    self.layer = layer
    view = network.operations[index].inputs[0]
    input = network.maps[view.map]
    place = PlacedWindow(layer.window, over: input.size)
    super.init(network, index)
  }

  private var size: MapSize { output.size }
  private var taps: Int { layer.window.size * layer.window.size }
  private var groupInputs: Int { layer.inputs / layer.groups }
  private var groupOutputs: Int { layer.outputs / layer.groups }
  /// Elements of a group's row.
  private var rowInputs: Int { taps * groupInputs }
  /// Elements of a pixel's patch: as it lies in the map, padding included, and by groups.
  private var patchStride: Int { taps * input.stride }
  private var groupedStride: Int { taps * layer.inputs }
  private var tileRows: Int { Tiling.rows(size) }
  private var tilePixels: Int { tileRows * size.width }

  /// Where the parts of the tile's float32 memory begin: patches as they lie in the map, by groups, and
  /// outputs.
  private var floatPlaces: (grouped: Int, outputs: Int, end: Int) {
    let grouped = tilePixels * patchStride
    let outputs = grouped + tilePixels * groupedStride
    return (grouped, outputs, outputs + tilePixels * output.stride)
  }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    let element = precision.size
    var need = TileMemory.Need()
    need.rows = RowRing.bytes(input, capacity: layer.window.reach, element)
    need.operand = tilePixels * patchStride * element
    need.outputGradient = tilePixels * output.stride * element
    need.band = (tilePixels + place.retained * size.width) * patchStride * element
    need.inputGradient = Tiling.rows(input.size) * input.size.width * input.stride * element
    need.floats = 4 * floatPlaces.end
    return need
  }

  override var laneCount: Int { paddedChannels(layer.outputs * rowInputs) }

  override func joins(_ images: Range<Int>) -> Bool { false }

  // MARK: Operands

  /// Elements of the maps' type as float32: where they are, or in `memory`.
  private func floats(
    _ pass: GraphPass, _ elements: UnsafeRawPointer, count: Int,
    in memory: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    if pass.maps.precision == .float32 { return elements.assumingMemoryBound(to: Float.self) }
    pass.maps.table.to_float(elements, memory, count)
    return UnsafePointer(memory)
  }

  /// Patches of output rows [r0, r1) by groups.
  private func operand(
    _ ring: inout RowRing, _ r0: Int, _ r1: Int, _ pass: GraphPass, _ tile: TileMemory
  ) -> UnsafePointer<Float> {
    var window = place.kernel
    let row = size.width * patchStride * pass.maps.precision.size
    for r in r0..<r1 {
      ring.fill(tile.window, place, row: r, pass)
      pass.maps.layers.patch(
        tile.window, tile.operand + (r - r0) * row, &window, Int32(input.stride))
    }
    let pixels = (r1 - r0) * size.width
    let patches = floats(pass, tile.operand, count: pixels * patchStride, in: tile.floats)
    let out = tile.floats + floatPlaces.grouped
    rfm_group_patches(
      patches, out, Int32(pixels), Int32(taps), Int32(input.stride), Int32(layer.groups),
      Int32(groupInputs))
    return UnsafePointer(out)
  }

  /// The weights of a group, (groupOutputs, rowInputs).
  private func weight(_ pass: GraphPass, _ group: Int) -> UnsafePointer<Float> {
    pass.weights.floats(layer.weight) + group * groupOutputs * rowInputs
  }

  // MARK: Forward

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    let isNarrow = pass.maps.precision != .float32
    for image in images {
      var ring = RowRing(pass, view, image: image, capacity: layer.window.reach, in: tile.rows)
      for r0 in stride(from: 0, to: size.height, by: tileRows) {
        let r1 = min(r0 + tileRows, size.height)
        let pixels = (r1 - r0) * size.width
        let x = operand(&ring, r0, r1, pass, tile)
        let y = pass.value(map, image: image, pixel: r0 * size.width)
        let out =
          isNarrow ? tile.floats + floatPlaces.outputs : y.assumingMemoryBound(to: Float.self)
        for group in 0..<layer.groups {
          MatrixMultiply.multiply(
            .float32, transposeB: true, m: pixels, n: groupOutputs, k: rowInputs,
            a: x + group * rowInputs, lda: groupedStride, b: weight(pass, group), ldb: rowInputs,
            c: out + group * groupOutputs, ldc: output.stride)
        }
        if isNarrow { pass.maps.table.from_float(out, y, pixels * output.stride) }
        pass.finishOutput(
          map, image: image, pixel: r0 * size.width, pixels: pixels, task: task, hasPadding: true)
      }
    }
  }

  // MARK: Backward

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let map = operation.output
    let rowBytes = size.width * patchStride * pass.maps.precision.size
    for image in images {
      var ring = RowRing(pass, view, image: image, capacity: layer.window.reach, in: tile.rows)
      // The band holds patch gradients of output rows [held, r1); input rows below `done` are handed on.
      var held = 0
      var done = 0
      for r0 in stride(from: 0, to: size.height, by: tileRows) {
        let r1 = min(r0 + tileRows, size.height)
        let pixels = (r1 - r0) * size.width
        let dy = floats(
          pass,
          pass.outputGradient(
            map, image: image, pixel: r0 * size.width, pixels: pixels, to: tile.outputGradient),
          count: pixels * output.stride, in: tile.floats + floatPlaces.outputs)
        if let lanes = pass.lanes[index] {
          addWeightGradient(
            dy, operand(&ring, r0, r1, pass, tile), pixels: pixels,
            accumulate: image > images.lowerBound || r0 > 0, to: lanes + task * laneCount)
        }
        patchGradients(pass, tile, dy, pixels: pixels, to: tile.band + (r0 - held) * rowBytes)
        unpatch(pass, tile, held: held, upTo: r1, &done, image: image, task: task)
        guard r1 < size.height else { continue }
        // Rows that the next tile's pixels still need move to the beginning.
        let first = min(place.firstOutput(for: done), r1)
        memmove(tile.band, tile.band + (first - held) * rowBytes, (r1 - first) * rowBytes)
        held = first
      }
      pass.endBackward(index, image: image, task: task)
    }
  }

  /// dW_g += dy_gᵀ·x_g.
  private func addWeightGradient(
    _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, pixels: Int, accumulate: Bool,
    to lane: UnsafeMutablePointer<Float>
  ) {
    for group in 0..<layer.groups {
      MatrixMultiply.multiply(
        .float32, transposeA: true, m: groupOutputs, n: rowInputs, k: pixels,
        a: dy + group * groupOutputs, lda: output.stride, b: x + group * rowInputs,
        ldb: groupedStride, accumulate: accumulate,
        c: lane + group * groupOutputs * rowInputs, ldc: rowInputs)
    }
  }

  /// dx_g = dy_g·W_g, as the patches lie in the map.
  private func patchGradients(
    _ pass: GraphPass, _ tile: TileMemory, _ dy: UnsafePointer<Float>, pixels: Int,
    to band: UnsafeMutableRawPointer
  ) {
    let grouped = tile.floats + floatPlaces.grouped
    for group in 0..<layer.groups {
      MatrixMultiply.multiply(
        .float32, m: pixels, n: rowInputs, k: groupOutputs, a: dy + group * groupOutputs,
        lda: output.stride, b: weight(pass, group), ldb: rowInputs, c: grouped + group * rowInputs,
        ldc: groupedStride)
    }
    let isNarrow = pass.maps.precision != .float32
    let out = isNarrow ? tile.floats : band.assumingMemoryBound(to: Float.self)
    rfm_ungroup_patches(
      grouped, out, Int32(pixels), Int32(taps), Int32(input.stride), Int32(layer.groups),
      Int32(groupInputs))
    if isNarrow { pass.maps.table.from_float(out, band, pixels * patchStride) }
  }

  /// Input rows that are complete now that the band holds output rows [held, end).
  private func unpatch(
    _ pass: GraphPass, _ tile: TileMemory, held: Int, upTo end: Int, _ done: inout Int, image: Int,
    task: Int
  ) {
    let element = pass.maps.precision.size
    let rowBytes = size.width * patchStride * element
    let inputBytes = input.size.width * input.stride * element
    let last = place.finished(below: end)
    let chunk = Tiling.rows(input.size)
    var window = place.kernel
    for start in stride(from: done, to: last, by: chunk) {
      let stop = min(start + chunk, last)
      for row in start..<stop {
        for tap in 0..<layer.window.size {
          tile.window[tap] = place.outputRow(row, tap: tap).map {
            UnsafeRawPointer(tile.band + ($0 - held) * rowBytes)
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

  override func planWeightGradients(_ program: GraphTraining, tasks: Int) {
    program.planLaneSum(
      layer.weight, program.pass.lanes[index]!, count: layer.outputs * rowInputs, pitch: laneCount,
      tasks: tasks)
  }
}
