#include "internal.h"

#include <stdlib.h>
#include <string.h>

int h5_describe(hid_t type, hid_t space, rfm_h5_description *d) {
  memset(d, 0, sizeof *d);
  H5T_class_t class = H5Tget_class(type);
  if (class < 0) return -1;
  d->type_size = H5Tget_size(type);
  if (d->type_size == 0) return -1;
  d->type_class = RFM_H5_OTHER;
  if (class == H5T_INTEGER) {
    d->type_class = RFM_H5_INTEGER;
    d->is_signed = H5Tget_sign(type) != H5T_SGN_NONE;
  } else if (class == H5T_FLOAT) {
    d->type_class = RFM_H5_FLOATING;
  } else if (class == H5T_STRING) {
    d->type_class = RFM_H5_STRING;
    htri_t variable = H5Tis_variable_str(type);
    if (variable < 0) return -1;
    d->is_variable = variable > 0;
    d->is_utf8 = H5Tget_cset(type) == H5T_CSET_UTF8;
    H5T_str_t padding = H5Tget_strpad(type);
    d->padding = padding == H5T_STR_SPACEPAD ? RFM_H5_SPACE_PADDED
        : padding == H5T_STR_NULLPAD         ? RFM_H5_NULL_PADDED
                                             : RFM_H5_NULL_TERMINATED;
  } else if (class == H5T_ENUM) {
    d->type_class = RFM_H5_ENUMERATION;
    hid_t base = H5Tget_super(type);
    if (base < 0) return -1;
    d->is_signed = H5Tget_sign(base) != H5T_SGN_NONE;
    H5Tclose(base);
  } else {
    d->type_class = class == H5T_BITFIELD ? RFM_H5_BIT_FIELD
        : class == H5T_COMPOUND           ? RFM_H5_COMPOUND
        : class == H5T_ARRAY              ? RFM_H5_ARRAY
        : class == H5T_VLEN               ? RFM_H5_VARIABLE_LISTS
        : class == H5T_OPAQUE             ? RFM_H5_OPAQUE
        : class == H5T_REFERENCE          ? RFM_H5_REFERENCE
                                          : RFM_H5_OTHER;
  }
  H5S_class_t extent = H5Sget_simple_extent_type(space);
  if (extent == H5S_NULL) {
    d->rank = -1;
    return 0;
  }
  hsize_t shape[H5S_MAX_RANK], maximum[H5S_MAX_RANK];
  int rank = H5Sget_simple_extent_dims(space, shape, maximum);
  if (rank < 0 || rank > RFM_H5_MAX_RANK) return -1;
  d->rank = rank;
  for (int i = 0; i < rank; i++) {
    d->shape[i] = shape[i];
    d->maximum[i] = maximum[i] == H5S_UNLIMITED ? UINT64_MAX : maximum[i];
  }
  return 0;
}

static hid_t string_type(uint64_t string_size, int is_ascii, int32_t padding) {
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0) return type;
  H5T_str_t pad = padding == RFM_H5_SPACE_PADDED ? H5T_STR_SPACEPAD
      : padding == RFM_H5_NULL_PADDED            ? H5T_STR_NULLPAD
                                                 : H5T_STR_NULLTERM;
  if (H5Tset_size(type, string_size == 0 ? H5T_VARIABLE : string_size) < 0 ||
      H5Tset_cset(type, is_ascii ? H5T_CSET_ASCII : H5T_CSET_UTF8) < 0 ||
      H5Tset_strpad(type, pad) < 0) {
    H5Tclose(type);
    return H5I_INVALID_HID;
  }
  return type;
}

hid_t h5_creation_type(const rfm_h5_creation *c) {
  return c->is_string ? string_type(c->string_size, c->is_ascii, c->padding)
                      : H5Tcopy(h5_memory_type(c->element));
}

hid_t h5_creation_space(const rfm_h5_creation *c) {
  if (c->rank == 0) return H5Screate(H5S_SCALAR);
  hsize_t shape[RFM_H5_MAX_RANK], maximum[RFM_H5_MAX_RANK];
  for (int i = 0; i < c->rank; i++) {
    shape[i] = c->shape[i];
    maximum[i] = i == 0 && c->extendible ? H5S_UNLIMITED : c->shape[i];
  }
  return H5Screate_simple(c->rank, shape, maximum);
}
