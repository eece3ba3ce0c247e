/*-------------------------------------------------------------------------
 *
 * logistic.h
 *		Ridge logistic regression over patterns of features.
 *
 * Pure arithmetic: no catalog, no SPI, no random numbers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_LOGISTIC_H
#define LEADSCORE_LOGISTIC_H

#define LOGISTIC_MAX_FEATURES	1000

/*
 * Rows that have the same features, and the same cluster.  Behind the header are
 * nterms values that are not zero, as float4 where that is the same number for
 * all of them, and then their places.
 */
typedef struct LogisticPattern
{
	int64		cluster;		/* 0 if rows are in no clusters */
	int32		n;				/* rows ... */
	int32		positives;		/* ... and those whose label is true */
	int16		nterms;
	bool		wide;			/* values are float8 */
} LogisticPattern;

/* Patterns one behind the other */
typedef struct LogisticData
{
	int32		nfeatures;
	bool		clustered;
	bool		sorted;			/* and no pattern is there twice */
	Size		size;
	Size		capacity;
	char	   *bytes;
} LogisticData;

typedef enum LogisticProblem
{
	LOGISTIC_FITTED,
	LOGISTIC_ONE_LABEL,			/* all labels are the same */
	LOGISTIC_COLLINEAR,			/* a feature is a sum of others */
	LOGISTIC_SEPARATED			/* coefficients grow without end */
} LogisticProblem;

typedef struct LogisticFit
{
	LogisticProblem problem;
	int			place;			/* of the feature that is a sum of others */
	int			iterations;
	int64		n;
	int64		positives;
	double		log_likelihood;
	double		intercept;
	double		intercept_error;
	double	   *coefficients;	/* 0 of a feature that is left out or constant */
	double	   *errors;			/* NaN of these */
} LogisticFit;

/* How well something tells the labels apart */
typedef struct LogisticArea
{
	int64		n;
	int64		positives;
	double		auc;			/* NaN if all labels are the same */
	double		margin;			/* half of the 95 % interval */
} LogisticArea;

/* What one feature alone says */
typedef struct LogisticFeature
{
	int64		n;				/* rows where it is not zero */
	int64		positives;
	LogisticArea area;
} LogisticFeature;

extern void leadscore_logistic_init(LogisticData *data, int nfeatures, bool clustered);
extern void leadscore_logistic_add(LogisticData *data, int64 cluster, bool label,
								   const double *features);
extern void leadscore_logistic_append(LogisticData *data, const LogisticData *other);
extern void leadscore_logistic_sort(LogisticData *data);
extern bool leadscore_logistic_valid(const LogisticData *data);
extern void leadscore_logistic_fit(const LogisticData *data, const bool *left_out,
								   double ridge, LogisticFit *fit);
extern void leadscore_logistic_feature(const LogisticData *data, int place,
									   LogisticFeature *result);
extern void leadscore_logistic_area(const LogisticData *data, const double *coefficients,
									LogisticArea *area);

#endif							/* LEADSCORE_LOGISTIC_H */
